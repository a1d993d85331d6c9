package provider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const (
	policyOwn = "tokenward_policy_token.it"
	reads     = `allow if input.request.method == \"GET\"`
	writes    = `allow if input.request.method == \"POST\"`
)

// madeFor is the text of a policy token as `tokenward policy-token create --local` makes one.
func madeFor(prefix string) string {
	body := prefix + api.Random(randomPart/2)
	return body + checksum(body)
}

func policyConfig(it world, name, role, policy, more string) string {
	return with(it, it.Admin, fmt.Sprintf("resource \"tokenward_policy_token\" \"it\" {\n  name = %q\n  role = %q\n  policy = \"%s\"\n  %s\n}\n", name, role, policy, more))
}

func TestAPolicyTokenIsMadeChangedInPlaceRotatedAndTakenBack(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	config := func(name, role, policy, more string) string {
		return policyConfig(it, name, role, policy, "generate = true\n  "+more)
	}
	id, secret := "", ""
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(policyOwn, plancheck.ResourceActionUpdate)}}
	same := func(state *terraform.State) error {
		if attribute(state, policyOwn, "id") != id || attribute(state, policyOwn, "token") != secret {
			return fmt.Errorf("it is another token")
		}
		return nil
	}
	run(t,
		resource.TestStep{Config: config("tf-policy", "viewer", reads, ""), Check: func(state *terraform.State) error {
			id, secret = attribute(state, policyOwn, "id"), attribute(state, policyOwn, "token")
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
		}, Config: config("tf-policy-2", "devops", writes, ""), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{ResourceName: policyOwn, Config: config("tf-policy-2", "devops", writes, ""), ImportState: true, ImportStateId: "Acme/tf-policy-2", ImportStateVerify: true,
			// Times are the server's text after an import; they compare by meaning.
			ImportStateVerifyIgnore: []string{"token", "generate", "overlap", "on_expired", "expires_at"}},
		resource.TestStep{Config: config("tf-policy-2", "devops", writes, "overlap = \"1h\"\n  rotate_triggers = { a = \"c\" }"), ConfigPlanChecks: inPlace,
			Check: func(state *terraform.State) error {
				now := attribute(state, policyOwn, "token")
				if attribute(state, policyOwn, "id") != id || now == secret || !strings.HasPrefix(now, "twp_") {
					return fmt.Errorf("it was not rotated in place")
				}
				// Which request it is about nobody has said: the policy is not asked, and the token is known.
				if verify(t, it, secret) != "policy_denied" || verify(t, it, now) != "policy_denied" {
					return fmt.Errorf("the secret before is %s", verify(t, it, secret))
				}
				secret = now
				return nil
			}},
		resource.TestStep{Config: config("tf-policy-2", "devops", reads, "rotate_triggers = { a = \"d\" }"), ConfigPlanChecks: inPlace, Check: func(*terraform.State) error {
			if code := verify(t, it, secret); code != "replaced" {
				return fmt.Errorf("the secret before is %s", code)
			}
			return nil
		}},
		// What was deleted by hand is made anew.
		resource.TestStep{PreConfig: func() {
			all, err := of.PolicyTokens(ctx)
			must(t, err)
			for _, one := range all {
				if one.Name == "tf-policy-2" {
					must(t, of.DeletePolicyToken(ctx, one.ID))
				}
			}
		}, Config: config("tf-policy-2", "devops", writes, "rotate_triggers = { a = \"d\" }"), Check: resource.TestCheckResourceAttrSet(policyOwn, "token")},
		// An end is final.
		resource.TestStep{PreConfig: func() {
			all, err := of.PolicyTokens(ctx)
			must(t, err)
			at := slices.IndexFunc(all, func(one api.PolicyToken) bool { return one.Name == "tf-policy-2" })
			_, err = of.EditPolicyToken(ctx, all[at].ID, "", api.Fields{"expires_at": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)})
			must(t, err)
			time.Sleep(1200 * time.Millisecond)
		}, Config: config("tf-policy-2", "devops", writes, "expires_at = \"2099-01-01T00:00:00Z\"\n  rotate_triggers = { a = \"d\" }"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(policyOwn, plancheck.ResourceActionReplace)}},
			Check:            resource.TestCheckResourceAttr(policyOwn, "state", "active")},
	)
	run(t, resource.TestStep{Config: with(it, it.Tokens["living"], "resource \"tokenward_policy_token\" \"it\" {\n name = \"x\"\n role = \"viewer\"\n policy = \"allow if true\"\n generate = true\n}\n"), ExpectError: regexp.MustCompile("policy:manage")})
}

func TestTheSecretOfAPolicyTokenIsNeverWrittenDown(t *testing.T) {
	it := theWorld(t)
	one, other := madeFor("twp_"), madeFor("twp_")
	config := func(secret string, version int, more string) string {
		return policyConfig(it, "tf-policy-written", "viewer", reads, fmt.Sprintf("secret_wo = %q\n  secret_wo_version = %d\n  %s", secret, version, more))
	}
	known := func(secret, code string) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			if now := verify(t, it, secret); now != code {
				return fmt.Errorf("%s, not %s", now, code)
			}
			if strings.Contains(fmt.Sprint(state), secret) {
				return fmt.Errorf("the state has the secret")
			}
			return nil
		}
	}
	digest := policyConfig(it, "tf-policy-written", "viewer", reads, "digest = \""+digestOf(madeFor("twp_"))+"\"")
	run(t,
		resource.TestStep{Config: config(one, 1, ""), Check: resource.ComposeTestCheckFunc(known(one, "policy_denied"), resource.TestCheckNoResourceAttr(policyOwn, "token"))},
		// Without a new version a new value changes nothing.
		resource.TestStep{Config: config(other, 1, ""), PlanOnly: true},
		resource.TestStep{Config: config(other, 2, "overlap = \"1h\""), Check: resource.ComposeTestCheckFunc(known(other, "policy_denied"), known(one, "policy_denied"), resource.TestCheckResourceAttr(policyOwn, "version", "2"))},
		// Another form rotates, and takes the secret of the form before out of the state.
		resource.TestStep{Config: policyConfig(it, "tf-policy-written", "viewer", reads, "generate = true"), Check: resource.ComposeTestCheckFunc(known(other, "replaced"), resource.TestCheckResourceAttrSet(policyOwn, "token"))},
		resource.TestStep{Config: digest, Check: resource.ComposeTestCheckFunc(resource.TestCheckNoResourceAttr(policyOwn, "token"), resource.TestCheckResourceAttr(policyOwn, "last_four", "????"))},
		resource.TestStep{Config: digest, PlanOnly: true},
	)
}

func TestAfterAnImportTheFirstApplyOfAPolicyTokenRotatesNothing(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	found, err := of.CreatePolicyToken(ctx, api.Fields{"name": "tf-policy-imported", "role_id": role.ID, "opa_policy": "allow if input.request.method == \"GET\""})
	must(t, err)
	config := policyConfig(it, "tf-policy-imported", "viewer", reads, "digest = \""+digestOf(found.Text)+"\"\n  overlap = \"24h\"")
	run(t,
		resource.TestStep{Config: config, ResourceName: policyOwn, ImportState: true, ImportStateId: "Acme/tf-policy-imported", ImportStatePersist: true},
		resource.TestStep{Config: config, Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(policyOwn, "version", "1"), resource.TestCheckResourceAttr(policyOwn, "id", found.ID))},
		resource.TestStep{Config: config, PlanOnly: true},
	)
}

func TestWhatAPolicyTokenCannotBeIsToldAtItsAttribute(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	used := madeFor("twp_")
	_, err = of.CreatePolicyToken(ctx, api.Fields{"name": "tf-policy-used", "role_id": role.ID, "opa_policy": "allow if true", "sha256": digestOf(used)})
	must(t, err)
	damaged := madeFor("twp_")
	damaged = damaged[:len(damaged)-1] + map[bool]string{true: "b", false: "a"}[damaged[len(damaged)-1] == 'a']
	for more, told := range map[string]string{
		"": "exactly\\s+one\\s+form",
		"generate = true\n  digest = \"" + digestOf("x") + "\"":                      "exactly\\s+one\\s+form",
		"secret_wo = \"" + madeFor("twp_") + "\"":                                    "go\\s+together",
		"secret_wo_version = 1\n  secret_wo = \"hunter2\"":                           "policy\\s+is\\s+never\\s+asked",
		"secret_wo_version = 1\n  secret_wo = \"" + made() + "\"":                    "policy\\s+is\\s+never\\s+asked",
		"secret_wo_version = 1\n  secret_wo = \"" + strings.Repeat("aB3", 12) + "\"": "policy\\s+is\\s+never\\s+asked",
		"secret_wo_version = 1\n  secret_wo = \"" + damaged + "\"":                   "checksum\\s+is\\s+wrong",
		"secret_wo_version = 1\n  secret_wo = \"" + used + "\"":                      "registered",
		"digest = \"" + digestOf(used) + "\"":                                        "registered",
		"generate = true\n  overlap = \"1.5h\"":                                      "no\\s+length",
		"digest = \"abc\"":                                                           "no\\s+SHA-256",
		"generate = true\n  expires_at = \"soon\"":                                   "no\\s+moment",
		"generate = true\n  expires_at = \"2020-01-01T00:00:00Z\"":                   "expires_at",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: policyConfig(it, "tf-policy-no", "viewer", reads, more), ExpectError: regexp.MustCompile(told)})
		})
	}
	run(t, resource.TestStep{Config: policyConfig(it, "tf-policy-used", "viewer", reads, "generate = true"), ExpectError: regexp.MustCompile("is\\s+taken")})
	run(t, resource.TestStep{Config: policyConfig(it, "tf-policy-no", "no-such-role", reads, "generate = true"), ExpectError: regexp.MustCompile("no role")})
	// As long as an operator likes, a policy token begins otherwise here.
	if problem := weakPolicy(madeFor("acme_p_")); problem != "" {
		t.Error(problem)
	}
}

func TestAPolicyTokenOfAKilledApplyIsAdoptedOnlyWhereItIsAsWanted(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	secret := madeFor("twp_")
	const get = "allow if input.request.method == \"GET\""
	for at, try := range []struct {
		wanted  string
		fields  api.Fields
		adopted bool
	}{
		{"generate = true", api.Fields{"opa_policy": get}, true},
		{"generate = true", api.Fields{"opa_policy": "allow if true"}, false},
		{"digest = \"" + digestOf(secret) + "\"", api.Fields{"opa_policy": get, "sha256": digestOf(secret)}, true},
		{"digest = \"" + digestOf(madeFor("twp_")) + "\"", api.Fields{"opa_policy": get}, false},
	} {
		name := fmt.Sprintf("tf-policy-half-%d", at)
		try.fields["name"], try.fields["role_id"] = name, role.ID
		orphan, err := of.CreatePolicyToken(ctx, try.fields)
		must(t, err)
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		step := resource.TestStep{Config: policyConfig(it, name, "viewer", reads, try.wanted)}
		if step.Check = resource.TestCheckResourceAttr(policyOwn, "id", orphan.ID); !try.adopted {
			step.ExpectError = regexp.MustCompile("import")
		}
		t.Run(name, func(t *testing.T) { run(t, step) })
		if now, err := of.PolicyToken(ctx, orphan.ID); !try.adopted && (err != nil || len(now.Versions) != 1) {
			t.Errorf("%s: it was touched: %+v %v", name, now, err)
		}
	}
}
