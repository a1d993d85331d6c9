package provider

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestProjectsEnvironmentsAndVariablesAreMadeChangedFoundAndImported(t *testing.T) {
	it := theWorld(t)
	config := func(name, mode, value, more string) string {
		return with(it, it.Admin, fmt.Sprintf(`
resource "tokenward_project" "shop" {
  name        = %q
  description = "of the shop"
}
resource "tokenward_cluster" "place" {
  name           = "tf-cluster"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
data "tokenward_cluster" "found" {
  name = tokenward_cluster.place.name
}
resource "tokenward_environment" "test" {
  project_id = tokenward_project.shop.id
  cluster_id = tokenward_cluster.place.id
  name       = "test"
  mode       = %q
}
resource "tokenward_variable" "plain" {
  project_id = tokenward_project.shop.id
  key        = "TF_PLAIN"
  value      = %q
}
resource "tokenward_variable" "hidden" {
  environment_id    = tokenward_environment.test.id
  key               = "TF_HIDDEN"
  secret_wo         = "tf-hidden-value"
  secret_wo_version = 1
}
data "tokenward_project" "found" {
  name = tokenward_project.shop.name
}
data "tokenward_environment" "found" {
  project_id = tokenward_project.shop.id
  name       = tokenward_environment.test.name
}
%s`, name, mode, value, more))
	}
	hidden := func(state *terraform.State) error {
		if strings.Contains(fmt.Sprint(state), "tf-hidden-value") {
			return fmt.Errorf("the state has the secret")
		}
		return nil
	}
	last := config("tf-store", "STAGING", "two", "")
	run(t,
		resource.TestStep{Config: config("tf-shop", "DEVELOPMENT", "one", ""), Check: resource.ComposeTestCheckFunc(hidden,
			resource.TestCheckResourceAttrPair("data.tokenward_project.found", "id", "tokenward_project.shop", "id"),
			resource.TestCheckResourceAttr("data.tokenward_environment.found", "mode", "DEVELOPMENT"))},
		resource.TestStep{Config: last, Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr("tokenward_variable.plain", "value", "two"),
			resource.TestCheckResourceAttr("tokenward_environment.test", "mode", "STAGING"))},
		resource.TestStep{Config: last, ResourceName: "tokenward_project.shop", ImportState: true, ImportStateId: "Acme/tf-store", ImportStateVerify: true},
		resource.TestStep{Config: last, ResourceName: "tokenward_cluster.place", ImportState: true, ImportStateId: "tf-cluster", ImportStateVerify: true},
		resource.TestStep{Config: strings.Replace(last, "eu-west-3", "eu-west-1", 1), Check: resource.TestCheckResourceAttr("tokenward_cluster.place", "region", "eu-west-1")},
		resource.TestStep{Config: last, ResourceName: "tokenward_environment.test", ImportState: true, ImportStateId: "tf-store/test", ImportStateVerify: true},
		resource.TestStep{Config: last, ResourceName: "tokenward_variable.plain", ImportState: true, ImportStateId: "tf-store/TF_PLAIN", ImportStateVerify: true},
		resource.TestStep{Config: last, ResourceName: "tokenward_variable.hidden", ImportState: true, ImportStateId: "tf-store/test/TF_HIDDEN", ImportStateVerify: true, ImportStateVerifyIgnore: []string{"secret_wo_version"}},
		resource.TestStep{Config: config("tf-store", "TEST", "two", ""), ExpectError: regexp.MustCompile("mode")},
		resource.TestStep{Config: last, PlanOnly: true},
	)
}

func TestARoleHasPermissionsAndRightsAndGivesUpItsHolders(t *testing.T) {
	it := theWorld(t)
	config := func(role, token string) string {
		return with(it, it.Admin, fmt.Sprintf(`
resource "tokenward_project" "one" {
  name = "tf-role-project"
}
resource "tokenward_project" "other" {
  name = "tf-role-other"
}
resource "tokenward_cluster" "place" {
  name           = "tf-role-cluster"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
%s
resource "tokenward_token" "it" {
  name     = "tf-with-role"
  role     = %s
  generate = true
}
`, role, token))
	}
	role := func(rest string) string {
		return "resource \"tokenward_role\" \"it\" {\n  name = \"tf-deployer\"\n" + rest + "\n}"
	}
	const own = "tokenward_role.it"
	run(t,
		resource.TestStep{Config: config(role("permissions = [\"invoices:read\", \"orders:*\"]"), own+".name"), Check: resource.TestCheckResourceAttr(own, "permissions.#", "2")},
		resource.TestStep{Config: config(role(`permissions = ["orders:*"]
  description = "deploys"
  projects = {
    (tokenward_project.one.id)   = { staging = "DEPLOYER", production = "VIEWER" }
    (tokenward_project.other.id) = { admin = true }
  }
  clusters = { (tokenward_cluster.place.id) = "ENV_CREATOR" }`), own+".id"), Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(own, "projects.%", "2"), resource.TestCheckResourceAttr(own, "clusters.%", "1"))},
		resource.TestStep{Config: config(role("move_holders_to = \"viewer\""), own+".id"), Check: resource.TestCheckNoResourceAttr(own, "permissions.#")},
		resource.TestStep{ResourceName: own, ImportState: true, ImportStateId: "tf-deployer", ImportStateVerify: true, ImportStateVerifyIgnore: []string{"move_holders_to"}, Config: config(role("move_holders_to = \"viewer\""), own+".id")},
		// The core destroys the role before its holder gets another one.
		resource.TestStep{Config: config("", "\"viewer\""), Check: resource.TestCheckResourceAttr(token, "role", "viewer")},
	)
	run(t,
		resource.TestStep{Config: config(role(""), own+".id")},
		resource.TestStep{Config: config("", "\"viewer\""), ExpectError: regexp.MustCompile("tf-with-role")},
		resource.TestStep{Config: config(role("move_holders_to = \"viewer\""), own+".id")},
	)
	run(t, resource.TestStep{Config: with(it, it.Admin, role("permissions = [\"token:manage\"]")), ExpectError: regexp.MustCompile("permissions")})
}

func TestAMemberIsInvitedGetsAnotherRoleAndIsUninvited(t *testing.T) {
	it := theWorld(t)
	config := func(role string) string {
		return with(it, it.Admin, fmt.Sprintf("resource \"tokenward_member\" \"it\" {\n  email = \"TF@acme.example\"\n  role  = %q\n}\n", role))
	}
	const member = "tokenward_member.it"
	run(t,
		resource.TestStep{Config: config("viewer"), Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(member, "status", "PENDING"),
			resource.TestCheckResourceAttr(member, "id", "TF@acme.example"), resource.TestMatchResourceAttr(member, "invitation_link", regexp.MustCompile("/accept|/invitation|http")))},
		resource.TestStep{Config: config("devops"), Check: resource.TestCheckResourceAttr(member, "role", "devops")},
		resource.TestStep{Config: config("devops"), ResourceName: member, ImportState: true, ImportStateId: "tf@acme.example", ImportStateVerifyIdentifierAttribute: "status"},
	)
	members, invited, err := organization(t, it).Members(context.Background())
	must(t, err)
	for _, one := range append(members, invited...) {
		if strings.EqualFold(one.Email, "tf@acme.example") {
			t.Error("still invited")
		}
	}
}

func TestWhatATokenMayDoIsAskedByItsID(t *testing.T) {
	it := theWorld(t)
	run(t, resource.TestStep{Config: with(it, it.Admin, `
resource "tokenward_token" "it" {
  name     = "tf-asked"
  role     = "viewer"
  generate = true
}
data "tokenward_decision" "reads" {
  token_id   = tokenward_token.it.id
  permission = "invoices:read"
}
data "tokenward_decision" "writes" {
  token_id = tokenward_token.it.id
  api      = "shop"
  method   = "POST"
  path     = "/invoices"
}
resource "tokenward_token" "narrow" {
  name        = "tf-decided-narrow"
  role        = "devops"
  permissions = ["invoices:read"]
  generate    = true
}
data "tokenward_decision" "narrowed" {
  token_id   = tokenward_token.narrow.id
  permission = "invoices:write"
}
data "tokenward_decision" "of_role" {
  role   = "viewer"
  api    = "shop"
  method = "GET"
  path   = "/invoices"
}
data "tokenward_decision" "holds" {
  role       = "viewer"
  permission = "invoices:read"
}
data "tokenward_decision" "lacks" {
  role       = "viewer"
  permission = "token:manage"
}
data "tokenward_decision" "not_of_role" {
  role   = "viewer"
  api    = "shop"
  method = "POST"
  path   = "/invoices"
}
`), Check: resource.ComposeTestCheckFunc(
		resource.TestCheckResourceAttr("data.tokenward_decision.of_role", "allowed", "true"),
		resource.TestCheckResourceAttr("data.tokenward_decision.not_of_role", "allowed", "false"),
		resource.TestMatchResourceAttr("data.tokenward_decision.not_of_role", "detail", regexp.MustCompile("lacks .invoices:write")),
		resource.TestCheckResourceAttr("data.tokenward_decision.holds", "allowed", "true"),
		resource.TestCheckResourceAttr("data.tokenward_decision.lacks", "allowed", "false"),
		resource.TestMatchResourceAttr("data.tokenward_decision.lacks", "detail", regexp.MustCompile("lacks .token:manage")),
		resource.TestCheckResourceAttr("data.tokenward_decision.reads", "allowed", "true"),
		resource.TestCheckResourceAttr("data.tokenward_decision.writes", "allowed", "false"),
		resource.TestCheckResourceAttr("data.tokenward_decision.writes", "missing_permission", "invoices:write"),
		resource.TestCheckResourceAttr("data.tokenward_decision.narrowed", "code", "scope_denied"),
		resource.TestCheckResourceAttr("data.tokenward_decision.narrowed", "missing_permission", "invoices:write"))})
}

// Whether its role lacks it or the provider's token is narrowed away from it: the permission is named, and nothing leaves the state.
func TestThePermissionThatTheProviderLacksIsNamed(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	const one, two = "resource \"tokenward_token\" \"it\" {\n  name = \"tf-lacking\"\n  role = \"viewer\"\n  generate = true\n}\n", "  role = \"viewer\"\n  description = \"more\"\n"
	more := strings.Replace(one, "  role = \"viewer\"\n", two, 1)
	steps := []resource.TestStep{{Config: with(it, it.Admin, one)}}
	for _, lacking := range []struct {
		role, told  string
		permissions []string
	}{
		{"viewer", "This\\s+needs\\s+the\\s+permission\\s+.token:manage.,\\s+which\\s+your\\s+role", nil},
		{"devops", "This\\s+needs\\s+the\\s+permission\\s+.token:manage.\\.\\s+Your\\s+role\\s+has\\s+it", []string{"organization:read", "token:read", "role:read"}},
	} {
		role, err := roleID(ctx, of, lacking.role)
		must(t, err)
		fields := api.Fields{"name": "tf-lacking-" + lacking.role, "role_id": role.ID}
		if lacking.permissions != nil {
			fields["permissions"] = lacking.permissions
		}
		own, err := of.CreateToken(ctx, fields)
		must(t, err)
		t.Cleanup(func() { must(t, of.DeleteToken(ctx, own.ID)) })
		steps = append(steps, resource.TestStep{Config: with(it, own.Text, more), ExpectError: regexp.MustCompile(lacking.told)})
	}
	run(t, append(steps, resource.TestStep{Config: with(it, it.Admin, one), PlanOnly: true})...)
}

func TestWhoseDecisionItIsMustBeSaid(t *testing.T) {
	it := theWorld(t)
	for asked, told := range map[string]string{
		"permission = \"invoices:read\"":                                 "token_id.\\s+or\\s+.role",
		"role = \"viewer\"\ntoken_id = \"x\"":                            "token_id.\\s+or\\s+.role",
		"role = \"viewer\"\napi = \"shop\"":                              "api.,\\s+.method",
		"role = \"viewer\"\npermission = \"a:b\"\nremote_ip = \"::1\"":   "nothing\\s+else\\s+counts",
		"role = \"viewer\"\npermission = \"a:*\"":                        "permission",
		"token_id = \"" + made() + "\"\npermission = \"a:b\"":            "never\\s+by\\s+the\\s+text",
		"role = \"nobody\"\napi = \"a\"\nmethod = \"GET\"\npath = \"/\"": "no\\s+role",
	} {
		run(t, resource.TestStep{Config: with(it, it.Admin, "data \"tokenward_decision\" \"it\" {\n"+asked+"\n}\n"), ExpectError: regexp.MustCompile(told)})
	}
}

func TestWhatATokenMayNotSeeStaysInTheState(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	ctx := context.Background()
	role, err := of.CreateRole(ctx, api.Fields{"name": "tf-blind", "permissions": []string{}})
	must(t, err)
	blind, err := of.CreateToken(ctx, api.Fields{"name": "tf-blind", "role_id": role.ID})
	must(t, err)
	const project = "resource \"tokenward_project\" \"it\" {\n  name = \"tf-hidden\"\n}\n"
	id := ""
	run(t,
		resource.TestStep{Config: with(it, it.Admin, project), Check: func(state *terraform.State) error {
			id = attribute(state, "tokenward_project.it", "id")
			return nil
		}},
		resource.TestStep{Config: with(it, blind.Text, project), ExpectError: regexp.MustCompile("not\\s+visible\\s+to\\s+this\\s+token")},
		// With the other token the plan is empty: nothing was forgotten.
		resource.TestStep{Config: with(it, it.Admin, project), PlanOnly: true},
		// What is gone for one that reads everything is made anew.
		resource.TestStep{PreConfig: func() { must(t, of.DeleteProject(ctx, id)) }, Config: with(it, it.Admin, project), Check: func(state *terraform.State) error {
			if attribute(state, "tokenward_project.it", "id") == id {
				return fmt.Errorf("it is the deleted one")
			}
			return nil
		}},
	)
}
