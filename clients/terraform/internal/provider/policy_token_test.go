package provider

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestAPolicyTokenIsMadeChangedInPlaceReplacedAndTakenBack(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	const (
		own    = "tokenward_policy_token.it"
		reads  = `allow if input.request.method == \"GET\"`
		writes = `allow if input.request.method == \"POST\"`
	)
	config := func(name, role, policy, more string) string {
		return with(it, it.Admin, fmt.Sprintf("resource \"tokenward_policy_token\" \"it\" {\n  name = %q\n  role = %q\n  policy = \"%s\"\n  generate = true\n  %s\n}\n", name, role, policy, more))
	}
	id, secret := "", ""
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(own, plancheck.ResourceActionUpdate)}}
	same := func(state *terraform.State) error {
		if attribute(state, own, "id") != id || attribute(state, own, "token") != secret {
			return fmt.Errorf("it is another token")
		}
		return nil
	}
	run(t,
		resource.TestStep{Config: config("tf-policy", "viewer", reads, ""), Check: func(state *terraform.State) error {
			id, secret = attribute(state, own, "id"), attribute(state, own, "token")
			if secret == "" {
				return fmt.Errorf("it has no secret")
			}
			return nil
		}},
		resource.TestStep{Config: config("tf-policy", "viewer", writes, ""), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{Config: config("tf-policy", "devops", writes, ""), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{Config: config("tf-policy-2", "devops", writes, "description = \"one\"\n  expires_at = \"2099-01-01T00:00:00Z\""), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{Config: config("tf-policy-2", "devops", "allow if nonsense(", ""), ExpectError: regexp.MustCompile("policy")},
		resource.TestStep{PreConfig: func() {
			_, err := of.EditPolicyToken(ctx, id, "", api.Fields{"opa_policy": "allow if false"})
			must(t, err)
		},
			Config: config("tf-policy-2", "devops", writes, "rotate_triggers = { a = \"b\" }"), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{ResourceName: own, Config: config("tf-policy-2", "devops", writes, ""), ImportState: true, ImportStateId: "Acme/tf-policy-2", ImportStateVerify: true,
			// Times are the server's text after an import; they compare by meaning.
			ImportStateVerifyIgnore: []string{"token", "generate", "rotate_triggers", "expires_at"}},
		resource.TestStep{Config: config("tf-policy-2", "devops", writes, "rotate_triggers = { a = \"c\" }"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(own, plancheck.ResourceActionReplace)}}},
		// What was deleted by hand is made anew.
		resource.TestStep{PreConfig: func() {
			all, err := of.PolicyTokens(ctx)
			must(t, err)
			for _, one := range all {
				must(t, of.DeletePolicyToken(ctx, one.ID))
			}
		}, Config: config("tf-policy-2", "devops", writes, "rotate_triggers = { a = \"c\" }"), Check: resource.TestCheckResourceAttrSet(own, "token")},
	)
	run(t, resource.TestStep{Config: with(it, it.Tokens["living"], "resource \"tokenward_policy_token\" \"it\" {\n name = \"x\"\n role = \"viewer\"\n policy = \"allow if true\"\n generate = true\n}\n"), ExpectError: regexp.MustCompile("policy:manage")})
}
