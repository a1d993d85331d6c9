package provider

import (
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

// Both kinds of tokens, and what begins the text of one.
var kindsOfTokens = map[string]struct{ policy, prefix string }{
	"tokenward_token":        {"", prefix},
	"tokenward_policy_token": {"policy = \"allow if input.request.method == \\\"GET\\\"\"\n", "twp_"},
}

// From each form of a secret to each other one, of both kinds: it rotates in place, and what the form before left in the state goes.
func TestFromEachFormOfASecretToEachOtherItRotatesInPlace(t *testing.T) {
	it := theWorld(t)
	for kind, of := range kindsOfTokens {
		t.Run(kind, func(t *testing.T) {
			address := kind + ".it"
			config := func(form string) string {
				return with(it, it.Admin, fmt.Sprintf("resource %q \"it\" {\n  name = \"tf-forms\"\n  role = \"viewer\"\n  %s%s\n}\n", kind, of.policy, form))
			}
			id, before := "", ""
			var steps []resource.TestStep
			for at, form := range []string{"generate", "secret_wo", "digest", "generate", "digest", "secret_wo", "generate"} {
				// Of what the server makes the text is in the state.
				secret := madeFor(of.prefix)
				text := map[string]string{
					"generate":  "generate = true",
					"secret_wo": fmt.Sprintf("secret_wo = %q\n  secret_wo_version = 1", secret),
					"digest":    fmt.Sprintf("digest = %q", digestOf(secret)),
				}[form]
				step := resource.TestStep{Config: config(text), Check: func(state *terraform.State) error {
					shown := attribute(state, address, "token")
					if (shown != "") != (form == "generate") {
						return fmt.Errorf("%d, %s: `token` has %d characters", at, form, len(shown))
					}
					now := secret
					if shown != "" {
						now = shown
					} else if strings.Contains(fmt.Sprint(state), secret) || before != "" && strings.Contains(fmt.Sprint(state), before) {
						return fmt.Errorf("%d, %s: a secret stands in the state", at, form)
					}
					if code := verify(t, it, now); code != lives(now) {
						return fmt.Errorf("%d, %s: the secret is %s", at, form, code)
					}
					if before != "" && verify(t, it, before) != "replaced" {
						return fmt.Errorf("%d, %s: the secret before is %s", at, form, verify(t, it, before))
					}
					if version := attribute(state, address, "version"); version != fmt.Sprint(at+1) {
						return fmt.Errorf("%d, %s: it has the version %s", at, form, version)
					}
					if own := attribute(state, address, "id"); id != "" && own != id {
						return fmt.Errorf("%d, %s: it is another token", at, form)
					}
					id, before = attribute(state, address, "id"), now
					return nil
				}}
				if at > 0 {
					step.ConfigPlanChecks = resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)}}
				}
				steps = append(steps, step)
			}
			run(t, steps...)
		})
	}
}

// A rotation of a policy token that succeeds before an edit that is refused: the new secret is in the state, and is not made again.
func TestWhatWasRotatedBeforeARefusedEditOfAPolicyTokenIsKept(t *testing.T) {
	it := theWorld(t)
	config := func(policy, more string) string {
		return policyConfig(it, "tf-policy-half-done", "viewer", policy, "generate = true\n  expires_in = \"24h\"\n  "+more)
	}
	var first, end string
	const june = "rotate_triggers = { month = \"june\" }"
	run(t,
		resource.TestStep{Config: config(reads, ""), Check: func(state *terraform.State) error {
			first, end = attribute(state, policyOwn, "token"), attribute(state, policyOwn, "expires_at")
			return nil
		}},
		resource.TestStep{PreConfig: func() { time.Sleep(1100 * time.Millisecond) }, Config: config("allow if nonsense(", june), ExpectError: regexp.MustCompile("policy")},
		resource.TestStep{Config: config(reads, june), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(policyOwn, plancheck.ResourceActionUpdate)}},
			Check: func(state *terraform.State) error {
				now := attribute(state, policyOwn, "token")
				if now == first || attribute(state, policyOwn, "version") != "2" || verify(t, it, now) != lives(now) || verify(t, it, first) != "replaced" {
					return fmt.Errorf("the version is %s, and its secret %s", attribute(state, policyOwn, "version"), verify(t, it, now))
				}
				if attribute(state, policyOwn, "expires_at") == end {
					return fmt.Errorf("its life still counts from before the rotation")
				}
				return nil
			}},
	)
}

// Of both kinds: what is switched off and is to be on again gets its new secret in the same apply.
func TestWhatIsSwitchedOnAgainIsRotatedInTheSameApply(t *testing.T) {
	it := theWorld(t)
	for kind, of := range kindsOfTokens {
		t.Run(kind, func(t *testing.T) {
			address := kind + ".it"
			config := func(more string) string {
				return with(it, it.Admin, fmt.Sprintf("resource %q \"it\" {\n  name = \"tf-off\"\n  role = \"viewer\"\n  generate = true\n  %s%s\n}\n", kind, of.policy, more))
			}
			first := ""
			run(t,
				resource.TestStep{Config: config("enabled = false"), Check: func(state *terraform.State) error {
					first = attribute(state, address, "token")
					if code := verify(t, it, first); code != "disabled" || attribute(state, address, "state") != "disabled" {
						return fmt.Errorf("it is %s", code)
					}
					return nil
				}},
				// One that is off gets none, and it is said what to do.
				resource.TestStep{Config: config("enabled = false\n  rotate_triggers = { a = \"b\" }"), ExpectError: regexp.MustCompile("Switch\\s+it\\s+on")},
				resource.TestStep{Config: config("rotate_triggers = { a = \"b\" }"), Check: func(state *terraform.State) error {
					now := attribute(state, address, "token")
					if now == first || verify(t, it, now) != lives(now) || verify(t, it, first) != "replaced" || attribute(state, address, "state") != "active" {
						return fmt.Errorf("the secret is %s, and the one before %s", verify(t, it, now), verify(t, it, first))
					}
					return nil
				}},
				resource.TestStep{Config: config("rotate_triggers = { a = \"c\" }\n  enabled = false"), Check: func(state *terraform.State) error {
					if code := verify(t, it, attribute(state, address, "token")); code != "disabled" || attribute(state, address, "version") != "3" {
						return fmt.Errorf("it is %s, with the version %s", code, attribute(state, address, "version"))
					}
					return nil
				}},
			)
		})
	}
}

// The secret before may end sooner, once nobody uses it.
func TestTheSecretBeforeEndsOnceItIsSilent(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	form := func(trigger, more string) string {
		return "resource \"tokenward_token\" \"it\" {\n  name = \"tf-silent\"\n  role = \"viewer\"\n  generate = true\n  rotate_triggers = { a = \"" + trigger + "\" }\n" + more + "}\n"
	}
	const silent = "  overlap = \"24h\"\n  end_when_silent = \"1h\"\n"
	c := newCore(t, it, form("one", silent))
	c.run("apply", "-auto-approve", "-input=false")
	c.write(form("two", silent))
	if said := c.words("plan", "-input=false"); !strings.Contains(said, "or until it was not used for 1h, never used") {
		t.Errorf("the plan says: %s", said)
	}
	c.run("apply", "-auto-approve", "-input=false")
	c.run("plan", "-detailed-exitcode", "-input=false")
	now, err := of.Token(t.Context(), c.ids()["tokenward_token.it"]["id"])
	must(t, err)
	if len(now.Versions) != 2 || now.Versions[1].EndsWhenSilent != "1h" {
		t.Errorf("the server has %+v", now.Versions)
	}
	// What it says alone is nothing that the server has to be asked.
	c.write(form("two", strings.Replace(silent, "1h", "2h", 1)))
	c.run("apply", "-auto-approve", "-input=false")
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	for more, told := range map[string]string{
		"  end_when_silent = \"1h\"\n":                        "goes\\s+with\\s+.overlap",
		"  overlap = \"0\"\n  end_when_silent = \"1h\"\n":     "goes\\s+with\\s+.overlap",
		"  overlap = \"24h\"\n  end_when_silent = \"soon\"\n": "no\\s+length",
		"  overlap = \"1h\"\n  end_when_silent = \"1m\"\n":    "not\\s+between\\s+5m",
		"  overlap = \"30m\"\n  end_when_silent = \"1h\"\n":   "not\\s+between\\s+5m",
	} {
		run(t, resource.TestStep{Config: with(it, it.Admin, form("one", more)), ExpectError: regexp.MustCompile(told)})
	}
}

// A policy token lives as a token does: for a while, under a name that is made up, replaced or kept when it is over, and switched on again.
func TestAPolicyTokenLivesAsATokenDoes(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), t.Context()
	config := func(more string) string {
		return with(it, it.Admin, "resource \"tokenward_policy_token\" \"it\" {\n  name_prefix = \"tf-policy-copy-\"\n  role = \"viewer\"\n  policy = \"allow if true\"\n  generate = true\n"+more+"\n  lifecycle {\n    create_before_destroy = true\n  }\n}\n")
	}
	id, name := "", ""
	know := func(state *terraform.State) error {
		id, name = attribute(state, policyOwn, "id"), attribute(state, policyOwn, "name")
		return nil
	}
	same := func(state *terraform.State) error {
		if attribute(state, policyOwn, "id") != id || attribute(state, policyOwn, "version") != "1" {
			return fmt.Errorf("it is another one: %s", attribute(state, policyOwn, "name"))
		}
		return know(state)
	}
	expire := func() {
		_, err := of.EditPolicyToken(ctx, id, "", api.Fields{"expires_at": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)})
		must(t, err)
		time.Sleep(1200 * time.Millisecond)
	}
	action := func(it plancheck.ResourceActionType) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(policyOwn, it)}}
	}
	run(t,
		resource.TestStep{Config: config(""), Check: know},
		resource.TestStep{Config: config("  expires_in = \"24h\""), ConfigPlanChecks: action(plancheck.ResourceActionUpdate), Check: func(state *terraform.State) error {
			now, err := of.PolicyToken(ctx, id)
			if err != nil || now.ExpiresAt == nil || time.Until(now.ExpiresAt.Add(-24*time.Hour)).Abs() > time.Minute {
				return fmt.Errorf("it ends at %v, %v", now.ExpiresAt, err)
			}
			return same(state)
		}},
		// Renamed by hand, and by hand switched off.
		resource.TestStep{PreConfig: func() {
			_, err := of.EditPolicyToken(ctx, id, "", api.Fields{"name": "tf-by-hand-copy"})
			must(t, err)
			_, err = of.EnablePolicyToken(ctx, id, "", false)
			must(t, err)
		}, Config: config("  expires_in = \"24h\""), ConfigPlanChecks: action(plancheck.ResourceActionUpdate), Check: func(state *terraform.State) error {
			if !strings.HasPrefix(attribute(state, policyOwn, "name"), "tf-policy-copy-") || attribute(state, policyOwn, "state") != "active" {
				return fmt.Errorf("it is %s, and %s", attribute(state, policyOwn, "name"), attribute(state, policyOwn, "state"))
			}
			return same(state)
		}},
		resource.TestStep{PreConfig: expire, Config: config("  expires_in = \"24h\"\n  on_expired = \"keep\""), Check: resource.ComposeTestCheckFunc(same, resource.TestCheckResourceAttr(policyOwn, "state", "expired"))},
		resource.TestStep{Config: config("  expires_in = \"24h\""), ConfigPlanChecks: action(plancheck.ResourceActionCreateBeforeDestroy), Check: func(state *terraform.State) error {
			if attribute(state, policyOwn, "id") == id || attribute(state, policyOwn, "name") == name || attribute(state, policyOwn, "state") != "active" {
				return fmt.Errorf("it is %s", attribute(state, policyOwn, "name"))
			}
			return know(state)
		}},
	)
	for more, told := range map[string]string{
		"name = \"x\"":          "exactly\\s+one",
		"expires_in = \"soon\"": "no\\s+length",
		"on_expired = \"cry\"":  "no\\s+choice",
		"expires_in = \"1h\"\n  expires_at = \"2099-01-01T00:00:00Z\"": "one\\s+end",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: config("  " + more), ExpectError: regexp.MustCompile(told)})
		})
	}
}

// What stands behind a network is a note, which people see; it is kept, shown where somebody changes it, and found by an import.
func TestANetworkHasANote(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), t.Context()
	for kind, more := range kindsOfTokens {
		t.Run(kind, func(t *testing.T) {
			address := kind + ".it"
			config := func(networks string) string {
				return with(it, it.Admin, fmt.Sprintf("resource %q \"it\" {\n  name = \"tf-noted\"\n  role = \"viewer\"\n  generate = true\n  networks = [%s]\n  %s}\n", kind, networks, more.policy))
			}
			id := ""
			networks := func() []api.Network {
				if kind == "tokenward_token" {
					now, err := organization(t, it).Token(ctx, id)
					must(t, err)
					return now.Networks
				}
				now, err := organization(t, it).PolicyToken(ctx, id)
				must(t, err)
				return now.Networks
			}
			has := func(wanted ...api.Network) resource.TestCheckFunc {
				return func(state *terraform.State) error {
					if id = attribute(state, address, "id"); !sameNetworks(wanted, networks()) {
						return fmt.Errorf("the server has %+v", networks())
					}
					return nil
				}
			}
			const noted = "\"203.0.113.0/24 office, 2nd floor\", \"127.0.0.1\""
			office := api.Network{Network: "203.0.113.0/24", Note: "office, 2nd floor"}
			by := func(fields api.Fields) func() {
				return func() {
					var err error
					if kind == "tokenward_token" {
						_, err = of.EditToken(ctx, id, "", fields)
					} else {
						_, err = of.EditPolicyToken(ctx, id, "", fields)
					}
					must(t, err)
				}
			}
			run(t,
				resource.TestStep{Config: config(noted), Check: has(office, api.Network{Network: "127.0.0.1"})},
				resource.TestStep{Config: config(noted), ResourceName: address, ImportState: true, ImportStateId: "tf-noted", ImportStateVerify: true,
					// An address alone is a network of one.
					ImportStateVerifyIgnore: []string{"token", "generate", "overlap", "on_expired", "networks"}},
				resource.TestStep{PreConfig: by(api.Fields{"networks": []any{api.Fields{"network": "203.0.113.0/24", "note": "by hand"}, "127.0.0.1"}}), Config: config(noted), PlanOnly: true, ExpectNonEmptyPlan: true},
				resource.TestStep{Config: config(noted), Check: has(office, api.Network{Network: "127.0.0.1"})},
				resource.TestStep{Config: config("\"203.0.113.0/24\""), Check: has(api.Network{Network: "203.0.113.0/24"})},
			)
		})
	}
}
