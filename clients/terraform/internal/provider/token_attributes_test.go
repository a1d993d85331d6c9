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

func TestATokenIsLabelledOwnedNarrowedAndLimitedInPlace(t *testing.T) {
	it := theWorld(t)
	ctx := context.Background()
	members, _, err := organization(t, it).Members(ctx)
	must(t, err)
	owner := members[0]
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-more\"\nrole = \"devops\"\ngenerate = true\n"+more)
	}
	secret := ""
	// What the server has, and the same secret as before.
	has := func(check func(api.Token) bool) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			// One that has read many tokens remembers them all for its run.
			now, err := organization(t, it).Token(ctx, attribute(state, token, "id"))
			if err != nil || !check(now) {
				return fmt.Errorf("the server has %+v, %v", now, err)
			}
			if attribute(state, token, "token") != secret || verify(t, it, secret) != "valid" {
				return fmt.Errorf("it was rotated")
			}
			return nil
		}
	}
	steps := []resource.TestStep{{Config: config(""), Check: func(state *terraform.State) error {
		secret = attribute(state, token, "token")
		return nil
	}}}
	for _, step := range []struct {
		more  string
		check func(api.Token) bool
	}{
		{"labels = { team = \"shop\", env = \"prod\" }", func(it api.Token) bool { return it.Labels["team"] == "shop" && len(it.Labels) == 2 }},
		{"labels = { team = \"bank\" }", func(it api.Token) bool { return it.Labels["team"] == "bank" && len(it.Labels) == 1 }},
		{"labels = {}", func(it api.Token) bool { return len(it.Labels) == 0 }},
		{"metadata = jsonencode({ plan = { name = \"gold\", seats = [7] }, id = 9007199254740993 })", func(it api.Token) bool { return strings.Contains(string(it.Metadata), "9007199254740993") }},
		{"metadata = jsonencode({ plan = { name = \"<iron>\" } })", func(it api.Token) bool { return string(it.Metadata) == `{"plan":{"name":"<iron>"}}` }},
		{"owner = \"" + strings.ToUpper(owner.Email) + "\"", func(it api.Token) bool { return it.OwnerID == owner.ID && len(it.Metadata) == 0 }},
		{"owner = \"none\"", func(it api.Token) bool { return it.OwnerID == "" }},
		{"owner = \"" + owner.ID + "\"", func(it api.Token) bool { return it.OwnerID == owner.ID }},
		{"permissions = [\"invoices:read\", \"*:read\", \"token:read\"]", func(it api.Token) bool { return len(it.Permissions) == 3 }},
		{"permissions = [\"*:read\"]\nrate_limit = { requests = 100, per = \"minute\" }", func(it api.Token) bool { return len(it.Permissions) == 1 && it.RateLimit.Burst == 100 }},
		{"rate_limit = { requests = 100, per = \"minute\", burst = 20 }", func(it api.Token) bool { return len(it.Permissions) == 0 && it.RateLimit.Burst == 20 }},
		{"quota = { requests = 10000, refill = \"day\" }", func(it api.Token) bool { return it.RateLimit == nil && it.Quota.Requests == 10_000 }},
		// Who is accountable stays where nothing is said of it any more.
		{"", func(it api.Token) bool { return it.Quota == nil && it.OwnerID == owner.ID }},
	} {
		if step.more != "" {
			steps = append(steps, resource.TestStep{Config: config(step.more),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionUpdate)}},
				Check:            has(step.check)})
		} else {
			steps = append(steps, resource.TestStep{Config: config(""), Check: has(step.check)})
		}
	}
	// All at once, from the beginning, and found again by an import.
	all := strings.Replace(config(`labels = { team = "shop" }
metadata = jsonencode({ plan = "gold" })
owner = "`+owner.Email+`"
permissions = ["token:read", "*:read"]
rate_limit = { requests = 5, per = "second", burst = 9 }
quota = { requests = 10, refill = "month" }`), "tf-more", "tf-whole", 1)
	run(t, steps...)
	run(t,
		resource.TestStep{Config: all, Check: resource.TestCheckResourceAttr(token, "quota.refill", "month")},
		resource.TestStep{Config: all, ResourceName: token, ImportState: true, ImportStateId: "tf-whole", ImportStateVerify: true,
			ImportStateVerifyIgnore: []string{"token", "generate", "overlap", "on_expired"}},
		resource.TestStep{Config: all + "data \"tokenward_token\" \"found\" {\n  name = tokenward_token.it.name\n}\n", Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr("data.tokenward_token.found", "labels.team", "shop"),
			resource.TestCheckResourceAttr("data.tokenward_token.found", "permissions.#", "2"),
			resource.TestCheckResourceAttr("data.tokenward_token.found", "owner", owner.Email),
			resource.TestCheckResourceAttr("data.tokenward_token.found", "metadata", `{"plan":"gold"}`))},
	)
}

func TestWhatATokenCannotBeIsToldAtItsAttribute(t *testing.T) {
	it := theWorld(t)
	for attributes, told := range map[string]string{
		"permissions = []":                                     "may\\s+do\\s+nothing",
		"permissions = [\"invoices:write\"]":                   "permissions",
		"permissions = [\"nonsense\"]":                         "permissions",
		"metadata = \"[1]\"":                                   "no\\s+JSON\\s+object",
		"metadata = jsonencode({ a = null })":                  "no\\s+JSON\\s+object",
		"metadata = \"{} {}\"":                                 "no\\s+JSON\\s+object",
		"rate_limit = { requests = 1, per = \"week\" }":        "second,\\s+minute,\\s+hour",
		"rate_limit = { requests = 0, per = \"minute\" }":      "rate_limit",
		"quota = { requests = 1, refill = \"year\" }":          "day,\\s+month",
		"labels = { \"a b\" = \"c\" }":                         "labels",
		"labels = { a = \"b,c\" }":                             "labels",
		"labels = { for n in range(33) : \"k${n}\" => \"v\" }": "labels",
		"labels = { a = null }":                                "a\\s+null",
		"permissions = [\"*:read\", null]":                     "a\\s+null",
		"networks = [null]":                                    "a\\s+null",
		"networks = [\"10.0.0.1/8 office\"]":                   "networks",
		"owner = \"nobody@acme.example\"":                      "no\\s+member",
		"owner = \"00000000-0000-0000-0000-000000000000\"":     "owner",
	} {
		t.Run(attributes, func(t *testing.T) {
			run(t, resource.TestStep{Config: tokenConfig(it, "name = \"x\"\nrole = \"viewer\"\ngenerate = true\n"+attributes), ExpectError: regexp.MustCompile(told)})
		})
	}
}

func TestWhatAnInterruptedApplyHasMadeIsAdoptedOnlyWhereItIsAsWanted(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	secret, other := made(), made()
	for at, try := range []struct {
		there, wanted string
		fields        api.Fields
		adopted       bool
	}{
		{"labels, which are not wanted", "generate = true", api.Fields{"labels": map[string]string{"team": "bank"}}, false},
		{"permissions that are", "generate = true\npermissions = [\"*:read\"]\nlabels = { a = \"b\" }\nrate_limit = { requests = 1, per = \"hour\" }\nmetadata = \"{\\\"a\\\": 1.0}\"",
			api.Fields{"permissions": []string{"*:read"}, "labels": map[string]string{"a": "b"}, "rate_limit": api.Fields{"requests": 1, "per": "hour"}, "metadata": api.Fields{"a": 1}}, true},
		{"permissions that are more", "generate = true\npermissions = [\"invoices:read\"]", api.Fields{}, false},
		{"another secret", "secret_wo_version = 1\nsecret_wo = \"" + other + "\"", api.Fields{"sha256": digestOf(secret)}, false},
		{"this secret", "secret_wo_version = 1\nsecret_wo = \"" + secret + "\"", api.Fields{}, true},
	} {
		name := fmt.Sprintf("tf-half-%d", at)
		try.fields["name"], try.fields["role_id"] = name, role.ID
		if try.there == "this secret" {
			// The one before keeps that digest for ever.
			secret = made()
			try.fields["sha256"], try.wanted = digestOf(secret), "secret_wo_version = 1\nsecret_wo = \""+secret+"\""
		}
		orphan, err := of.CreateToken(ctx, try.fields)
		must(t, err)
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		step := resource.TestStep{Config: tokenConfig(it, "name = \""+name+"\"\nrole = \"viewer\"\n"+try.wanted)}
		if step.Check = resource.TestCheckResourceAttr(token, "id", orphan.ID); !try.adopted {
			step.ExpectError = regexp.MustCompile("import")
		}
		t.Run(try.there, func(t *testing.T) { run(t, step) })
		if now, err := of.Token(ctx, orphan.ID); !try.adopted && (err != nil || now.State != "active" || len(now.Versions) != 1) {
			t.Errorf("%s: it was touched: %+v %v", try.there, now, err)
		}
	}
}
