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

func TestATokenIsNarrowedToPlacesAndGoesToASuccessorInPlace(t *testing.T) {
	it := theWorld(t)
	ctx := context.Background()
	members, _, err := organization(t, it).Members(ctx)
	must(t, err)
	owner := members[0]
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-places\"\nrole = \"devops\"\ngenerate = true\nowner = \"none\"\n"+more) + `
resource "tokenward_project" "one" {
  name = "tf-places-one"
}
resource "tokenward_project" "other" {
  name = "tf-places-other"
}
resource "tokenward_cluster" "it" {
  name           = "tf-places"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.other.id
  cluster_id = tokenward_cluster.it.id
  name       = "staging"
  mode       = "STAGING"
}
`
	}
	secret := ""
	has := func(check func(api.Token) bool) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			now, err := organization(t, it).Token(ctx, attribute(state, token, "id"))
			if err != nil || !check(now) {
				return fmt.Errorf("the server has %+v, %v", now, err)
			}
			if attribute(state, token, "token") != secret {
				return fmt.Errorf("it was rotated")
			}
			return nil
		}
	}
	const one, other = "projects = [tokenward_project.one.id]\n", "environments = [tokenward_environment.it.id]\n"
	steps := []resource.TestStep{{Config: config(""), Check: func(state *terraform.State) error {
		secret = attribute(state, token, "token")
		return nil
	}}}
	for _, step := range []struct {
		more  string
		check func(api.Token) bool
	}{
		{one, func(it api.Token) bool { return len(it.Projects) == 1 && len(it.Environments) == 0 }},
		{one + other, func(it api.Token) bool { return len(it.Projects) == 1 && len(it.Environments) == 1 }},
		{other, func(it api.Token) bool { return len(it.Projects) == 0 && len(it.Environments) == 1 }},
		{"successor = \"" + strings.ToUpper(owner.Email) + "\"", func(it api.Token) bool { return it.SuccessorID == owner.ID && len(it.Environments) == 0 }},
		{"successor = \"" + owner.ID + "\"", func(it api.Token) bool { return it.SuccessorID == owner.ID }},
		{"", func(it api.Token) bool { return it.SuccessorID == "" }},
	} {
		steps = append(steps, resource.TestStep{Config: config(step.more), Check: has(step.check),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionUpdate)}}})
	}
	all := config(one + other + "successor = \"" + owner.Email + "\"")
	steps = append(steps,
		resource.TestStep{Config: all, ResourceName: token, Check: resource.TestCheckResourceAttr(token, "successor", owner.Email)},
		resource.TestStep{Config: all, ResourceName: token, ImportState: true, ImportStateId: "tf-places", ImportStateVerify: true,
			// Nobody is said by the configuration alone.
			ImportStateVerifyIgnore: []string{"token", "generate", "overlap", "on_expired", "owner"}},
		resource.TestStep{Config: all + "data \"tokenward_token\" \"found\" {\n  name = tokenward_token.it.name\n}\n", Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr("data.tokenward_token.found", "successor_id", owner.ID),
			resource.TestCheckResourceAttr("data.tokenward_token.found", "projects.#", "1"),
			resource.TestCheckResourceAttr("data.tokenward_token.found", "environments.#", "1"))},
	)
	run(t, steps...)
	for more, told := range map[string]string{
		"projects = []":     "is\\s+nowhere",
		"environments = []": "is\\s+nowhere",
		"projects = [\"00000000-0000-0000-0000-000000000000\"]": "projects",
		"projects = [\"shop\"]":                                 "projects",
		"successor = \"nobody@acme.example\"":                   "no\\s+member",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: tokenConfig(it, "name = \"x\"\nrole = \"viewer\"\ngenerate = true\n"+more), ExpectError: regexp.MustCompile(told)})
		})
	}
	run(t, resource.TestStep{Config: tokenConfig(it, "name = \"x\"\nrole = \"viewer\"\ngenerate = true\nowner = \""+owner.Email+"\"\nsuccessor = \""+strings.ToUpper(owner.Email)+"\""), ExpectError: regexp.MustCompile("is\\s+the\\s+owner")})
}
