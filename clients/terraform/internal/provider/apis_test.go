package provider

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const (
	shopAPI   = "tokenward_api.it"
	oneRoute  = "routes:\n- {method: GET, path: /bills, permissions: [bills:read]}\n"
	twoRoutes = oneRoute + "- {method: POST, path: /bills, any_of: [[bills:write, bills:read], [bills:all]]}\n"
)

func apiConfig(it world, name, document, more string) string {
	return with(it, it.Admin, fmt.Sprintf("resource \"tokenward_api\" \"it\" {\n  name = %q\n  document = %q\n  %s\n}\n", name, document, more))
}

func TestAnAPIHasTheRoutesOfItsDocumentAndThePlanListsThem(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	ctx := context.Background()
	route := func(name, needs string) resource.TestCheckFunc {
		return resource.TestCheckResourceAttr(shopAPI, "routes."+name, needs)
	}
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(shopAPI, plancheck.ResourceActionUpdate)}}
	run(t,
		resource.TestStep{Config: apiConfig(it, "tf-api", oneRoute, ""), Check: resource.ComposeTestCheckFunc(
			route("GET /bills", "bills:read"), resource.TestCheckResourceAttr(shopAPI, "routes.%", "1"), resource.TestCheckResourceAttr(shopAPI, "unknown_route", "deny"))},
		resource.TestStep{Config: apiConfig(it, "tf-api", twoRoutes, ""), ConfigPlanChecks: inPlace, Check: route("POST /bills", "bills:all, or bills:read and bills:write")},
		resource.TestStep{Config: apiConfig(it, "tf-api", twoRoutes, "unknown_route = \"allow\""), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(shopAPI, "unknown_route", "allow")},
		resource.TestStep{Config: apiConfig(it, "tf-api", twoRoutes, "allow_paths = [\"semicolon\"]"), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(shopAPI, "allow_paths.#", "1")},
		resource.TestStep{Config: apiConfig(it, "tf-api", `{"routes": [{"method": "GET", "path": "/bills", "permissions": ["bills:read"]}]}`, ""), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(shopAPI, "routes.%", "1")},
		resource.TestStep{Config: apiConfig(it, "tf-api", "[[route]]\nmethod = \"GET\"\npath = \"/bills\"\npermission = \"bills:see\"\n", "format = \"toml\""), Check: route("GET /bills", "bills:see")},
		// What was imported by hand is shown, and put right.
		resource.TestStep{PreConfig: func() {
			_, err := of.PutAPI(ctx, "tf-api", "", api.Document{Format: "yaml", Text: twoRoutes})
			must(t, err)
		},
			Config: apiConfig(it, "tf-api", oneRoute, ""), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(shopAPI, "routes.%", "1")},
		resource.TestStep{Config: apiConfig(it, "tf-api", oneRoute, ""), ResourceName: shopAPI, ImportState: true, ImportStateId: "Acme/tf-api", ImportStateVerify: true, ImportStateVerifyIgnore: []string{"document"}},
		// After an import nothing but the document is written into the state.
		resource.TestStep{PreConfig: func() { must(t, of.DeleteAPI(ctx, "tf-api")) }, Config: apiConfig(it, "tf-api", oneRoute, ""), Check: route("GET /bills", "bills:read")},
		resource.TestStep{Config: apiConfig(it, "tf-api-2", oneRoute, "") + "data \"tokenward_permissions\" \"all\" {\n api = tokenward_api.it.name\n}\n",
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(shopAPI, plancheck.ResourceActionReplace)}},
			Check:            resource.TestCheckTypeSetElemAttr("data.tokenward_permissions.all", "routes.*", "bills:read")},
	)
	if _, err := of.API(ctx, "tf-api-2"); !api.NotFound(err) {
		t.Errorf("it was not deleted: %v", err)
	}
}

func TestADocumentThatCannotBeImportedIsToldInThePlan(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	_, err := of.PutAPI(context.Background(), "tf-taken", "", api.Document{Format: "yaml", Text: twoRoutes})
	must(t, err)
	for name, step := range map[string]struct{ config, told string }{
		"no document":     {apiConfig(it, "tf-bad", "hello", ""), "cannot\\s+be\\s+imported"},
		"another format":  {apiConfig(it, "tf-bad", oneRoute, "format = \"xml\""), "one\\s+of:\\s+json,\\s+yaml,\\s+toml"},
		"another word":    {apiConfig(it, "tf-bad", oneRoute, "unknown_route = \"maybe\""), "one\\s+of:\\s+deny,\\s+allow"},
		"an own noun":     {apiConfig(it, "tf-bad", "routes:\n- {method: GET, path: /x, permissions: [token:read]}\n", ""), "cannot\\s+be\\s+imported"},
		"a name in use":   {apiConfig(it, "tf-taken", oneRoute, ""), "is\\s+taken"},
		"no right to":     {strings.Replace(apiConfig(it, "tf-bad", oneRoute, ""), it.Admin, it.Tokens["weak"], 1), "api:manage"},
		"a name too long": {apiConfig(it, strings.Repeat("x", 200), oneRoute, ""), "name"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, resource.TestStep{Config: step.config, ExpectError: regexp.MustCompile(step.told)})
		})
	}
}

func TestThePlanOfAnAPISaysWhatChangesForWhichRoles(t *testing.T) {
	it := theWorld(t)
	const roles = "resource \"tokenward_role\" \"it\" {\n  name = \"tf-clerk\"\n  permissions = [\"bills:read\"]\n}\n"
	document := func(needs string) string {
		return fmt.Sprintf("resource \"tokenward_api\" \"it\" {\n  name = \"tf-clerks\"\n  document = <<-END\n    routes:\n    - {method: GET, path: /bills, permissions: [%s]}\n  END\n}\n", needs)
	}
	c := newCore(t, it, roles+document("bills:read"))
	c.run("apply", "-auto-approve", "-input=false")
	c.write(roles + document("bills:audit"))
	said := c.run("plan", "-input=false", "-no-color")
	for _, told := range []string{`"GET /bills" = "bills:read" -> "bills:audit"`, "Tokens of the role tf-clerk", "reach routes no more, 1: GET /bills"} {
		if !strings.Contains(said, told) {
			t.Errorf("the plan does not say %q:\n%s", told, said)
		}
	}
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
}

func TestTheOrganizationIsTakenOverAndForgotten(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	ctx := context.Background()
	config := func(more string) string {
		return with(it, it.Admin, "resource \"tokenward_organization\" \"it\" {\n  name = \"Acme\"\n"+more+"\n}\n")
	}
	before, err := of.Itself(ctx)
	must(t, err)
	steps := []resource.TestStep{{Config: config("")}}
	for name, text := range map[string]string{"description": "sells", "website_url": "https://acme.example", "repository": "https://git.example/acme", "logo_url": "https://acme.example/l.png", "icon_url": "https://acme.example/i.png"} {
		const itself = "tokenward_organization.it"
		line := fmt.Sprintf("%s = %q", name, text)
		steps = append(steps,
			resource.TestStep{Config: config(line), Check: resource.TestCheckResourceAttr(itself, name, text)},
			resource.TestStep{PreConfig: func() { _, err := of.Edit(ctx, "", api.Fields{"name": "Acme", name: "by hand"}); must(t, err) }, Config: config(line), Check: resource.TestCheckResourceAttr(itself, name, text)},
			// What is not said any more is left as it is.
			resource.TestStep{Config: config(""), Check: resource.TestCheckResourceAttr(itself, name, text)})
	}
	steps = append(steps,
		resource.TestStep{Config: config("admin_emails = [\"boss@acme.example\"]"), Check: resource.TestCheckResourceAttr("tokenward_organization.it", "admin_emails.#", "1")},
		resource.TestStep{PreConfig: func() {
			_, err := of.Edit(ctx, "", api.Fields{"name": "Acme", "admin_emails": []string{"hand@acme.example"}})
			must(t, err)
		}, Config: config("admin_emails = [\"boss@acme.example\"]"), Check: func(*terraform.State) error {
			now, err := of.Itself(ctx)
			if err != nil || len(now.AdminEmails) != 1 || now.AdminEmails[0] != "boss@acme.example" {
				return fmt.Errorf("the server has %v, %v", now.AdminEmails, err)
			}
			return nil
		}},
		resource.TestStep{Config: config(""), ResourceName: "tokenward_organization.it", ImportState: true, ImportStateId: "Acme", ImportStateVerify: true},
		resource.TestStep{Config: config(""), ResourceName: "tokenward_organization.it", ImportState: true, ImportStateId: "Other", ExpectError: regexp.MustCompile("manages\\s+the\\s+organization")})
	run(t, steps...)
	after, err := of.Itself(ctx)
	must(t, err)
	if after.ID != before.ID || after.Description != "sells" {
		t.Errorf("after the end it is %+v", after)
	}
	run(t, resource.TestStep{Config: with(it, it.Tokens["weak"], "resource \"tokenward_organization\" \"it\" {\n  name = \"Acme\"\n  description = \"other\"\n}\n"), ExpectError: regexp.MustCompile("organization:edit")})
}

func TestAMemberThatATokenMayNotSeeStaysInTheState(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	ctx := context.Background()
	const member = "resource \"tokenward_member\" \"it\" {\n  email = \"gone@acme.example\"\n  role  = \"viewer\"\n}\n"
	c := newCore(t, it, member)
	c.run("apply", "-auto-approve", "-input=false")
	role, err := of.CreateRole(ctx, api.Fields{"name": "tf-no-members", "permissions": []string{}})
	must(t, err)
	blind, err := of.CreateToken(ctx, api.Fields{"name": "tf-no-members", "role_id": role.ID})
	must(t, err)
	other := c
	other.env = append(append([]string{}, c.env...), "TOKENWARD_TOKEN="+blind.Text)
	for _, arguments := range [][]string{{"plan", "-input=false"}, {"apply", "-destroy", "-refresh=false", "-auto-approve", "-input=false"}} {
		if said, err := other.command(arguments...).CombinedOutput(); err == nil {
			t.Errorf("%v went through: %s", arguments, said)
		}
	}
	if kept := c.run("state", "list"); !strings.Contains(kept, "tokenward_member.it") {
		t.Errorf("the state has forgotten it: %s", kept)
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
}
