package provider

import (
	"context"
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// Of each attribute that can be changed by hand: a plan shows it, and an apply puts it right.
func TestEachAttributeThatWasChangedByHandIsShownAndPutRight(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	config := with(it, it.Admin, `
resource "tokenward_project" "it" {
  name        = "tf-by-hand"
  description = "as written"
}
resource "tokenward_project" "other" {
  name = "tf-by-hand-other"
}
resource "tokenward_cluster" "it" {
  name           = "tf-by-hand"
  description    = "as written"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.it.id
  cluster_id = tokenward_cluster.it.id
  name       = "test"
  mode       = "STAGING"
}
resource "tokenward_variable" "it" {
  project_id  = tokenward_project.it.id
  key         = "TF_BY_HAND"
  value       = "one"
  description = "as written"
}
resource "tokenward_variable" "hidden" {
  environment_id    = tokenward_environment.it.id
  key               = "TF_BY_HAND_HIDDEN"
  description       = "as written"
  secret_wo         = "nobody-knows"
  secret_wo_version = 1
}
resource "tokenward_role" "it" {
  name        = "tf-by-hand"
  description = "as written"
  permissions = ["bills:read"]
  projects    = { (tokenward_project.it.id) = { staging = "DEPLOYER" } }
  clusters    = { (tokenward_cluster.it.id) = "ENV_CREATOR" }
}
resource "tokenward_member" "it" {
  email = "tf-by-hand@acme.example"
  role  = "viewer"
}
resource "tokenward_api" "it" {
  name     = "tf-by-hand"
  document = "routes:\n- {method: GET, path: /bills, permissions: [bills:read]}\n"
}
resource "tokenward_policy_token" "it" {
  name        = "tf-by-hand"
  description = "as written"
  role        = "viewer"
  policy      = "allow if input.request.method == \"GET\""
  not_before  = "2020-01-01T00:00:00Z"
  expires_at  = "2099-01-01T00:00:00Z"
  networks    = ["127.0.0.0/8"]
  labels      = { team = "shop" }
  metadata    = jsonencode({ plan = "gold" })
  owner       = "none"
  successor   = "owner@acme.example"
  permissions = ["*:read"]
  projects    = [tokenward_project.it.id]
  rate_limit  = { requests = 5, per = "second" }
  quota       = { requests = 10, refill = "month" }
  generate    = true
}
resource "tokenward_token" "it" {
  name        = "tf-by-hand"
  description = "as written"
  role        = "viewer"
  not_before  = "2020-01-01T00:00:00Z"
  expires_at  = "2099-01-01T00:00:00Z"
  networks    = ["127.0.0.0/8"]
  labels      = { team = "shop" }
  metadata    = jsonencode({ plan = "gold" })
  owner       = "none"
  successor   = "owner@acme.example"
  permissions = ["*:read"]
  projects    = [tokenward_project.it.id]
  rate_limit  = { requests = 5, per = "second" }
  quota       = { requests = 10, refill = "month" }
  generate    = true
}
`)
	ids := map[string]string{}
	know := func(state *terraform.State) error {
		for name, one := range state.RootModule().Resources {
			ids[name] = one.Primary.ID
		}
		return nil
	}
	admin, err := roleID(ctx, of, "devops")
	must(t, err)
	project := func(fields api.Fields) error {
		all := api.Fields{"name": "tf-by-hand", "description": "as written"}
		for name, value := range fields {
			all[name] = value
		}
		_, err := of.EditProject(ctx, ids["tokenward_project.it"], "", all)
		return err
	}
	cluster := func(name string, value string) error {
		all := api.Fields{"name": "tf-by-hand", "description": "as written", "region": "eu-west-3", "cloud_provider": "AWS"}
		all[name] = value
		_, err := of.EditCluster(ctx, ids["tokenward_cluster.it"], "", all)
		return err
	}
	environment := func(fields api.Fields) error {
		_, err := of.EditEnvironment(ctx, ids["tokenward_environment.it"], "", fields)
		return err
	}
	variable := func(fields api.Fields) error {
		_, err := of.EditVariable(ctx, api.Place{Scope: "project", ID: ids["tokenward_project.it"]}, false, ids["tokenward_variable.it"], "", fields)
		return err
	}
	role := func(change func(*api.CustomRole)) error {
		it, err := of.CustomRole(ctx, ids["tokenward_role.it"])
		if err == nil {
			it.Permissions = []string{"bills:read"}
			change(&it)
			_, err = of.EditRole(ctx, it)
		}
		return err
	}
	tokenEdit := func(fields api.Fields) error {
		_, err := of.EditToken(ctx, ids["tokenward_token.it"], "", fields)
		return err
	}
	policyEdit := func(fields api.Fields) error {
		_, err := of.EditPolicyToken(ctx, ids["tokenward_policy_token.it"], "", fields)
		return err
	}
	steps := []resource.TestStep{{Config: config, Check: know}}
	type byHand struct {
		resource string
		change   func() error
	}
	// What tokens of both kinds have.
	details := func(kind string, edit func(api.Fields) error) []byHand {
		return []byHand{
			{kind + " beginning", func() error { return edit(api.Fields{"not_before": "2021-01-01T00:00:00Z"}) }},
			{kind + " labels", func() error { return edit(api.Fields{"labels": api.Fields{"team": "bank", "more": "one"}}) }},
			{kind + " metadata", func() error { return edit(api.Fields{"metadata": api.Fields{"plan": nil, "more": 1}}) }},
			{kind + " owner", func() error {
				members, _, err := of.Members(ctx)
				if err != nil {
					return err
				}
				// Nobody is both.
				return edit(api.Fields{"owner_id": members[0].ID, "successor_id": nil})
			}},
			{kind + " successor", func() error { return edit(api.Fields{"successor_id": nil}) }},
			{kind + " projects", func() error { return edit(api.Fields{"projects": []string{ids["tokenward_project.other"]}}) }},
			{kind + " environments", func() error { return edit(api.Fields{"environments": []string{ids["tokenward_environment.it"]}}) }},
			{kind + " permissions", func() error { return edit(api.Fields{"permissions": nil}) }},
			{kind + " rate", func() error {
				return edit(api.Fields{"rate_limit": api.Fields{"requests": 5, "per": "second", "burst": 7}})
			}},
			{kind + " quota", func() error { return edit(api.Fields{"quota": nil}) }},
			{kind + " networks", func() error { return edit(api.Fields{"networks": []string{"10.0.0.0/8"}}) }},
			{kind + " note", func() error {
				return edit(api.Fields{"networks": []any{api.Fields{"network": "127.0.0.0/8", "note": "by hand"}}})
			}},
		}
	}
	changes := []byHand{
		{"project name", func() error { return project(api.Fields{"name": "tf-elsewhere"}) }},
		{"project description", func() error { return project(api.Fields{"description": "by hand"}) }},
		{"cluster name", func() error { return cluster("name", "tf-elsewhere") }},
		{"cluster description", func() error { return cluster("description", "by hand") }},
		{"cluster region", func() error { return cluster("region", "eu-west-1") }},
		{"cluster provider", func() error { return cluster("cloud_provider", "GCP") }},
		{"environment name", func() error { return environment(api.Fields{"name": "elsewhere", "mode": "STAGING"}) }},
		{"environment mode", func() error { return environment(api.Fields{"name": "test", "mode": "PRODUCTION"}) }},
		{"variable key", func() error { return variable(api.Fields{"key": "TF_ELSEWHERE", "value": "one"}) }},
		{"variable value", func() error { return variable(api.Fields{"key": "TF_BY_HAND", "value": "two"}) }},
		{"variable description", func() error {
			return variable(api.Fields{"key": "TF_BY_HAND", "value": "one", "description": "by hand"})
		}},
		{"secret description", func() error {
			_, err := of.EditVariable(ctx, api.Place{Scope: "environment", ID: ids["tokenward_environment.it"]}, true, ids["tokenward_variable.hidden"], "", api.Fields{"key": "TF_BY_HAND_HIDDEN", "description": "by hand"})
			return err
		}},
		{"role name", func() error { return role(func(it *api.CustomRole) { it.Name = "tf-elsewhere" }) }},
		{"role description", func() error { return role(func(it *api.CustomRole) { it.Description = "by hand" }) }},
		{"role permissions", func() error { return role(func(it *api.CustomRole) { it.Permissions = []string{"bills:*"} }) }},
		{"role right on another project", func() error {
			return role(func(it *api.CustomRole) {
				for at := range it.ProjectPermissions {
					it.ProjectPermissions[at].IsAdmin = it.ProjectPermissions[at].ProjectID == ids["tokenward_project.other"]
				}
			})
		}},
		{"role right on a cluster", func() error {
			return role(func(it *api.CustomRole) {
				for at := range it.ClusterPermissions {
					it.ClusterPermissions[at].Level = "ADMIN"
				}
			})
		}},
		{"member role", func() error {
			_, invited, err := of.Members(ctx)
			for _, one := range invited {
				if one.Email == "tf-by-hand@acme.example" {
					if err = of.Uninvite(ctx, one.ID); err == nil {
						_, err = of.Invite(ctx, one.Email, admin.ID)
					}
				}
			}
			return err
		}},
		{"API routes", func() error {
			_, err := of.PutAPI(ctx, "tf-by-hand", "", api.Document{Format: "yaml", Text: twoRoutes})
			return err
		}},
		{"API unknown routes", func() error {
			_, err := of.PutAPI(ctx, "tf-by-hand", "", api.Document{Format: "yaml", Text: oneRoute, UnknownRoute: "allow"})
			return err
		}},
		{"API paths", func() error {
			_, err := of.PutAPI(ctx, "tf-by-hand", "", api.Document{Format: "yaml", Text: oneRoute, AllowPaths: &[]string{"semicolon"}})
			return err
		}},
		{"policy token name", func() error { return policyEdit(api.Fields{"name": "tf-elsewhere"}) }},
		{"policy token description", func() error { return policyEdit(api.Fields{"description": nil}) }},
		{"policy token role", func() error { return policyEdit(api.Fields{"role_id": admin.ID}) }},
		{"policy token policy", func() error { return policyEdit(api.Fields{"opa_policy": "allow if true"}) }},
		{"policy token end", func() error { return policyEdit(api.Fields{"expires_at": "2098-01-01T00:00:00Z"}) }},
		{"policy token without an end", func() error { return policyEdit(api.Fields{"expires_at": nil}) }},
		{"policy token switched off", func() error {
			_, err := of.EnablePolicyToken(ctx, ids["tokenward_policy_token.it"], "", false)
			return err
		}},
		{"token name", func() error { return tokenEdit(api.Fields{"name": "tf-elsewhere"}) }},
		{"token switched off", func() error {
			_, err := of.EnableToken(ctx, ids["tokenward_token.it"], "", false)
			return err
		}},
		{"token role", func() error { return tokenEdit(api.Fields{"role_id": admin.ID}) }},
		{"token description", func() error { return tokenEdit(api.Fields{"description": nil}) }},
		{"token end", func() error { return tokenEdit(api.Fields{"expires_at": "2098-01-01T00:00:00Z"}) }},
		{"token without an end", func() error { return tokenEdit(api.Fields{"expires_at": nil}) }},
	}
	changes = append(changes, details("policy token", policyEdit)...)
	for _, hand := range append(changes, details("token", tokenEdit)...) {
		change := hand.change
		by := func() {
			if err := change(); err != nil {
				t.Fatal(fmt.Errorf("%s: %w", hand.resource, err))
			}
		}
		steps = append(steps,
			resource.TestStep{PreConfig: by, Config: config, PlanOnly: true, ExpectNonEmptyPlan: true},
			// The plan after it is empty, which the framework of the tests looks at.
			resource.TestStep{Config: config, Check: know})
	}
	run(t, steps...)
}
