package provider

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// All that binds and describes a token does so with a policy token, and each of it is changed in place.
func TestAPolicyTokenIsBoundAndDescribedInPlace(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	members, _, err := of.Members(ctx)
	must(t, err)
	owner := members[0]
	config := func(name, more string) string {
		return policyConfig(it, name, "devops", reads, "generate = true\n"+more) + "resource \"tokenward_project\" \"it\" {\n  name = \"tf-policy-place\"\n}\n"
	}
	secret := ""
	has := func(check func(api.PolicyToken) bool) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			now, err := organization(t, it).PolicyToken(ctx, attribute(state, policyOwn, "id"))
			if err != nil || !check(now) {
				return fmt.Errorf("the server has %+v, %v", now, err)
			}
			if attribute(state, policyOwn, "token") != secret || now.Versions[0].Version != 1 || now.Policy != "allow if input.request.method == \"GET\"" {
				return fmt.Errorf("it was rotated, or has another policy: %+v", now)
			}
			return nil
		}
	}
	steps := []resource.TestStep{{Config: config("tf-policy-more", ""), Check: func(state *terraform.State) error {
		secret = attribute(state, policyOwn, "token")
		return nil
	}}}
	for _, step := range []struct {
		more  string
		check func(api.PolicyToken) bool
	}{
		{"labels = { team = \"shop\", env = \"prod\" }", func(it api.PolicyToken) bool { return it.Labels["team"] == "shop" && len(it.Labels) == 2 }},
		{"labels = { team = \"bank\" }", func(it api.PolicyToken) bool { return it.Labels["team"] == "bank" && len(it.Labels) == 1 }},
		{"metadata = jsonencode({ plan = { name = \"gold\" } })", func(it api.PolicyToken) bool {
			return len(it.Labels) == 0 && string(it.Metadata) == `{"plan":{"name":"gold"}}`
		}},
		{"networks = [\"10.0.0.0/8\", \"192.0.2.7\"]", func(it api.PolicyToken) bool { return len(it.Metadata) == 0 && len(it.Networks) == 2 }},
		{"not_before = \"2099-01-01T00:00:00Z\"", func(it api.PolicyToken) bool { return len(it.Networks) == 0 && it.NotBefore.Year() == 2099 }},
		{"owner = \"none\"", func(it api.PolicyToken) bool { return it.NotBefore == nil && it.OwnerID == "" }},
		{"owner = \"none\"\nsuccessor = \"" + strings.ToUpper(owner.Email) + "\"", func(it api.PolicyToken) bool { return it.SuccessorID == owner.ID }},
		{"owner = \"" + owner.ID + "\"", func(it api.PolicyToken) bool { return it.OwnerID == owner.ID && it.SuccessorID == "" }},
		{"permissions = [\"invoices:read\", \"token:read\"]", func(it api.PolicyToken) bool { return len(it.Permissions) == 2 }},
		{"projects = [tokenward_project.it.name]", func(it api.PolicyToken) bool { return len(it.Permissions) == 0 && len(it.Projects) == 1 }},
		{"rate_limit = { requests = 100, per = \"minute\" }", func(it api.PolicyToken) bool { return len(it.Projects) == 0 && it.RateLimit.Burst == 100 }},
		{"quota = { requests = 10000, refill = \"day\" }", func(it api.PolicyToken) bool { return it.RateLimit == nil && it.Quota.Requests == 10_000 }},
		// Who is accountable stays where nothing is said of it any more.
		{"", func(it api.PolicyToken) bool { return it.Quota == nil && it.OwnerID == owner.ID }},
	} {
		steps = append(steps, resource.TestStep{Config: config("tf-policy-more", step.more), Check: has(step.check),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(policyOwn, plancheck.ResourceActionUpdate)}}})
	}
	run(t, steps...)
	// All at once, from the beginning, rotated beside a change, and found again by an import.
	whole := `labels = { team = "shop" }
not_before = "2020-01-01T00:00:00Z"
networks = ["10.0.0.0/8"]
metadata = jsonencode({ plan = "gold" })
owner = "` + owner.Email + `"
permissions = ["*:read"]
rate_limit = { requests = 5, per = "second", burst = 9 }
quota = { requests = 10, refill = "month" }
`
	run(t,
		resource.TestStep{Config: config("tf-policy-whole", whole), Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr(policyOwn, "quota.refill", "month"), resource.TestCheckResourceAttr(policyOwn, "owner", owner.Email))},
		resource.TestStep{Config: config("tf-policy-whole", strings.Replace(whole, "shop", "bank", 1)+"rotate_triggers = { a = \"b\" }"), Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr(policyOwn, "version", "2"), resource.TestCheckResourceAttr(policyOwn, "labels.team", "bank"))},
		resource.TestStep{Config: config("tf-policy-whole", strings.Replace(whole, "shop", "bank", 1)+"rotate_triggers = { a = \"b\" }"), ResourceName: policyOwn,
			ImportState: true, ImportStateId: "tf-policy-whole", ImportStateVerify: true,
			// Times are the server's text after an import; they compare by meaning.
			ImportStateVerifyIgnore: []string{"token", "generate", "overlap", "on_expired", "rotate_triggers", "not_before"}},
	)
	for more, told := range map[string]string{
		"permissions = []":                             "is\\s+no\\s+token",
		"projects = []":                                "is\\s+nowhere",
		"projects = [\"no-such\"]":                     "projects",
		"networks = [\"everywhere\"]":                  "networks",
		"metadata = \"[]\"":                            "no\\s+JSON\\s+object",
		"not_before = \"soon\"":                        "no\\s+moment",
		"owner = \"nobody@acme.example\"":              "no\\s+member",
		"permissions = [\"organization:delete\"]":      "organization:delete",
		"rate_limit = { requests = 1, per = \"day\" }": "is\\s+one\\s+of",
		"quota = { requests = 0, refill = \"day\" }":   "quota",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: policyConfig(it, "tf-policy-no", "devops", reads, "generate = true\n"+more), ExpectError: regexp.MustCompile(told)})
		})
	}
	// What a killed apply has made is taken over only where it is bound as it is wanted now.
	role, err := roleID(ctx, of, "devops")
	must(t, err)
	for at, network := range []string{"10.0.0.0/8", "10.0.0.0/9"} {
		name := fmt.Sprintf("tf-policy-bound-%d", at)
		_, err := of.CreatePolicyToken(ctx, api.Fields{"name": name, "role_id": role.ID, "opa_policy": "allow if input.request.method == \"GET\"",
			"networks": []string{network}, "labels": api.Fields{"team": "shop"}})
		must(t, err)
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		step := resource.TestStep{Config: policyConfig(it, name, "devops", reads, "generate = true\nnetworks = [\"10.0.0.0/8\"]\nlabels = { team = \"shop\" }"),
			Check: resource.TestCheckResourceAttr(policyOwn, "version", "2")}
		if at > 0 {
			step.ExpectError = regexp.MustCompile("import")
		}
		t.Run(name, func(t *testing.T) { run(t, step) })
	}
}
