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
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const token = "tokenward_token.it"

func tokenConfig(it world, attributes string) string {
	return with(it, it.Admin, "resource \"tokenward_token\" \"it\" {\n"+attributes+"\n}\n")
}

// made is a secret as `tokenward token create --local` makes one.
func made() string {
	body := prefix + api.Random(randomPart/2)
	return body + checksum(body)
}

func TestAGeneratedTokenIsMadeChangedInPlaceRotatedAndTakenBack(t *testing.T) {
	it := theWorld(t)
	first, id := "", ""
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-generated\"\nrole = \"viewer\"\ngenerate = true\n"+more)
	}
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionUpdate)}}
	same := func(state *terraform.State) error {
		if now := attribute(state, token, "id"); now != id {
			return fmt.Errorf("it is another token: %s, not %s", now, id)
		}
		return nil
	}
	steps := []resource.TestStep{
		{Config: config(""), Check: func(state *terraform.State) error {
			first, id = attribute(state, token, "token"), attribute(state, token, "id")
			if code := verify(t, it, first); code != "valid" {
				return fmt.Errorf("the token is %s", code)
			}
			return nil
		}},
	}
	// Each attribute by itself: it is changed in place, and the plan after it is empty (which the framework of the tests looks at).
	for _, more := range []string{
		"description = \"one\"", "description = \"\"", "expires_at = \"2099-01-31T13:00:00+01:00\"", "expires_in = \"24h\"",
		"not_before = \"2020-01-01T00:00:00Z\"", "networks = [\"127.0.0.1\", \"10.1.2.0/24\"]", "networks = [\"0.0.0.0/0\"]", "enabled = false", "enabled = true\noverlap = \"1h\"",
	} {
		steps = append(steps, resource.TestStep{Config: config(more), ConfigPlanChecks: inPlace, Check: same})
	}
	steps = append(steps,
		resource.TestStep{Config: strings.Replace(config(""), "viewer", "verifier", 1), ConfigPlanChecks: inPlace, Check: resource.ComposeTestCheckFunc(same, resource.TestCheckResourceAttr(token, "role", "verifier"))},
		resource.TestStep{Config: strings.Replace(config(""), "tf-generated", "tf-renamed", 1), ConfigPlanChecks: inPlace, Check: same},
		resource.TestStep{Config: config("overlap = \"1h\"\nrotate_triggers = { month = \"may\" }"), ConfigPlanChecks: inPlace, Check: func(state *terraform.State) error {
			now := attribute(state, token, "token")
			if now == first || verify(t, it, now) != "valid" || verify(t, it, first) != "valid" {
				return fmt.Errorf("both secrets are accepted for an hour")
			}
			return same(state)
		}},
		resource.TestStep{Config: config("rotate_triggers = { month = \"june\" }"), Check: func(state *terraform.State) error {
			if code := verify(t, it, first); code != "replaced" {
				return fmt.Errorf("the first secret is %s", code)
			}
			return same(state)
		}},
	)
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps, CheckDestroy: func(*terraform.State) error {
		gone, err := organization(t, it).Token(context.Background(), id)
		if err != nil || gone.State != "revoked" {
			return fmt.Errorf("it is %s, %v", gone.State, err)
		}
		return nil
	}})
}

func TestASecretThatIsNeverWrittenDown(t *testing.T) {
	it := theWorld(t)
	one, other := made(), made()
	config := func(secret string, version int, more string) string {
		return tokenConfig(it, fmt.Sprintf("name = \"tf-written\"\nrole = \"viewer\"\nsecret_wo = %q\nsecret_wo_version = %d\n%s", secret, version, more))
	}
	accepted := func(secret, code string) resource.TestCheckFunc {
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
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories,
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_11_0)},
		Steps: []resource.TestStep{
			{Config: config(one, 1, ""), Check: resource.ComposeTestCheckFunc(accepted(one, "valid"), resource.TestCheckNoResourceAttr(token, "token"))},
			// Without a new version a new value changes nothing.
			{Config: config(other, 1, ""), PlanOnly: true},
			{Config: config(other, 2, "overlap = \"1h\""), Check: resource.ComposeTestCheckFunc(accepted(other, "valid"), accepted(one, "valid"))},
			// Another form rotates, and takes the secret of the form before out of the state.
			{Config: tokenConfig(it, "name = \"tf-written\"\nrole = \"viewer\"\ngenerate = true"), Check: resource.ComposeTestCheckFunc(accepted(other, "replaced"), resource.TestCheckResourceAttrSet(token, "token"))},
			{Config: tokenConfig(it, "name = \"tf-written\"\nrole = \"viewer\"\ndigest = \""+digestOf(made())+"\""), Check: resource.TestCheckNoResourceAttr(token, "token")},
		},
	})
}

func TestAfterAnImportTheFirstApplyAdoptsWhatOnlyTheConfigurationKnows(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	role, err := roleID(context.Background(), of, "viewer")
	must(t, err)
	found, err := of.CreateToken(context.Background(), api.Fields{"name": "tf-imported", "role_id": role.ID, "description": "by hand"})
	must(t, err)
	config := tokenConfig(it, "name = \"tf-imported\"\nrole = \"viewer\"\ndescription = \"by hand\"\ngenerate = true\nrotate_triggers = { a = \"b\" }\noverlap = \"24h\"")
	run(t,
		resource.TestStep{Config: config, ResourceName: token, ImportState: true, ImportStateId: "Acme/tf-imported", ImportStatePersist: true},
		resource.TestStep{Config: config, Check: func(state *terraform.State) error {
			if code := verify(t, it, found.Text); code != "valid" {
				return fmt.Errorf("it was rotated: %s", code)
			}
			return nil
		}},
		resource.TestStep{Config: config, PlanOnly: true},
	)
}

func TestWhatWasDoneByHandIsShownAndHealed(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := tokenConfig(it, "name = \"tf-drift\"\nrole = \"viewer\"\ndescription = \"one\"\ngenerate = true")
	id := ""
	know := func(state *terraform.State) error { id = attribute(state, token, "id"); return nil }
	by := func(hand func() error) func() { return func() { must(t, hand()) } }
	edit := func(fields api.Fields) func() {
		return by(func() error { _, err := of.EditToken(context.Background(), id, "", fields); return err })
	}
	run(t,
		resource.TestStep{Config: config, Check: know},
		resource.TestStep{PreConfig: edit(api.Fields{"description": "two"}), Config: config, Check: resource.TestCheckResourceAttr(token, "description", "one")},
		resource.TestStep{PreConfig: edit(api.Fields{"name": "tf-elsewhere"}), Config: config, Check: resource.TestCheckResourceAttr(token, "name", "tf-drift")},
		resource.TestStep{PreConfig: edit(api.Fields{"networks": []string{"10.0.0.0/8"}}), Config: config, Check: resource.TestCheckNoResourceAttr(token, "networks.#")},
		resource.TestStep{PreConfig: by(func() error { _, err := of.EnableToken(context.Background(), id, "", false); return err }), Config: config,
			Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(token, "enabled", "true"), resource.TestCheckResourceAttr(token, "state", "active"))},
		resource.TestStep{PreConfig: by(func() error { return of.DeleteToken(context.Background(), id) }), Config: config, Check: func(state *terraform.State) error {
			if now := attribute(state, token, "id"); now == id {
				return fmt.Errorf("it is the deleted one")
			}
			if code := verify(t, it, attribute(state, token, "token")); code != "valid" {
				return fmt.Errorf("what was healed does not work: %s", code)
			}
			return nil
		}},
	)
}

func TestATokenThatHasExpiredIsReplacedOrKept(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-expired\"\nrole = \"viewer\"\nexpires_in = \"1h\"\ngenerate = true\n"+more)
	}
	id := ""
	expire := func() {
		_, err := of.EditToken(context.Background(), id, "", api.Fields{"expires_at": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)})
		must(t, err)
		time.Sleep(1200 * time.Millisecond)
	}
	run(t,
		resource.TestStep{Config: config(""), Check: func(state *terraform.State) error { id = attribute(state, token, "id"); return nil }},
		resource.TestStep{PreConfig: expire, Config: config("on_expired = \"keep\""), Check: resource.TestCheckResourceAttr(token, "state", "expired")},
		resource.TestStep{Config: config(""), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionReplace)}},
			Check: resource.TestCheckResourceAttr(token, "state", "active")},
	)
}

func TestAnEndIsFinalAndACopyWithAPrefixComesBeforeIt(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := func(more string) string {
		return tokenConfig(it, "name_prefix = \"tf-copy-\"\nrole = \"viewer\"\ngenerate = true\n"+more+"\nlifecycle {\n  create_before_destroy = true\n}")
	}
	id, name := "", ""
	know := func(state *terraform.State) error {
		id, name = attribute(state, token, "id"), attribute(state, token, "name")
		return nil
	}
	expire := func() {
		_, err := of.EditToken(context.Background(), id, "", api.Fields{"expires_at": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)})
		must(t, err)
		time.Sleep(1200 * time.Millisecond)
	}
	another := func(state *terraform.State) error {
		if attribute(state, token, "id") == id || attribute(state, token, "name") == name || attribute(state, token, "state") != "active" {
			return fmt.Errorf("it is %v", state.RootModule().Resources[token].Primary.Attributes)
		}
		return know(state)
	}
	replaced := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionCreateBeforeDestroy)}}
	run(t,
		resource.TestStep{Config: config("expires_in = \"1h\""), Check: know},
		resource.TestStep{PreConfig: expire, Config: config("expires_in = \"1h\""), ConfigPlanChecks: replaced, Check: another},
		// An expired one cannot be given another end; what is wanted then is a new one.
		resource.TestStep{PreConfig: expire, Config: config("expires_in = \"2h\""), ConfigPlanChecks: replaced, Check: another},
		resource.TestStep{PreConfig: expire, Config: config(""), ConfigPlanChecks: replaced, Check: another},
	)
}

func TestAnotherPrefixIsAnotherNameOfTheSameToken(t *testing.T) {
	it := theWorld(t)
	config := func(prefix string) string {
		return tokenConfig(it, "name_prefix = \""+prefix+"\"\nrole = \"viewer\"\ngenerate = true")
	}
	id, secret := "", ""
	run(t,
		resource.TestStep{Config: config("tf-before-"), Check: func(state *terraform.State) error {
			id, secret = attribute(state, token, "id"), attribute(state, token, "token")
			return nil
		}},
		resource.TestStep{Config: config("tf-after-"), Check: func(state *terraform.State) error {
			name := attribute(state, token, "name")
			if attribute(state, token, "id") != id || !strings.HasPrefix(name, "tf-after-") || verify(t, it, secret) != "valid" {
				return fmt.Errorf("it is %s, with the name %s", attribute(state, token, "id"), name)
			}
			return nil
		}},
		resource.TestStep{Config: config("tf-after-"), PlanOnly: true},
	)
}

func TestAWrongConfigurationIsToldAtItsAttribute(t *testing.T) {
	it := theWorld(t)
	damaged := made()
	damaged = damaged[:len(damaged)-1] + map[bool]string{true: "b", false: "a"}[damaged[len(damaged)-1] == 'a']
	for attributes, told := range map[string]string{
		"name = \"x\"": "exactly\\s+one\\s+form",
		"name = \"x\"\ngenerate = true\ndigest = \"" + digestOf("x") + "\"": "exactly\\s+one\\s+form",
		"generate = true": "`name`\\s+or\\s+a\\s+`name_prefix`",
		"name = \"x\"\nsecret_wo = \"" + made() + "\"":                                                        "go\\s+together",
		"name = \"x\"\nsecret_wo_version = 1\nsecret_wo = \"hunter2\"":                                        "could\\s+be\\s+guessed",
		"name = \"x\"\nsecret_wo_version = 1\nsecret_wo = \"" + damaged + "\"":                                "checksum\\s+is\\s+wrong",
		"name = \"x\"\nsecret_wo_version = 1\nsecret_wo = \"" + madeFor("twp_") + "\"":                        "policy\\s+tokens",
		"name = \"x\"\nsecret_wo_version = 1\nsecret_wo = \"" + madeFor("tws_") + "\"":                        "sessions",
		"name = \"x\"\ndigest = \"abc\"":                                                                      "no\\s+SHA-256",
		"name = \"x\"\ngenerate = true\nexpires_in = \"soon\"":                                                "no\\s+length",
		"name = \"x\"\ngenerate = true\nexpires_at = \"soon\"":                                                "no\\s+moment",
		"name = \"x\"\ngenerate = true\nexpires_at = \"2020-01-01T00:00:00Z\"":                                "expires_at",
		"name = \"x\"\ngenerate = true\nexpires_at = \"2099-01-01T00:00:00Z\"\nexpires_in = \"1h\"":           "one\\s+end",
		"name = \"x\"\ngenerate = true\noverlap = \"soon\"":                                                   "no\\s+length",
		"name = \"x\"\ndigest = \"" + digestOf("x") + "\"\nrotate_triggers = { a = \"b\" }":                   "goes\\s+with\\s+.generate",
		"name = \"x\"\ndigest = \"" + digestOf("x") + "\"\ngenerate = false\nrotate_triggers = { a = \"b\" }": "goes\\s+with\\s+.generate",
		"name = \"x\"\ngenerate = true\non_expired = \"cry\"":                                                 "no\\s+choice",
		"name = \"living\"\ngenerate = true":                                                                  "is\\s+taken",
		"name = \"x\"\ngenerate = true\nnetworks = [\"here\"]":                                                "networks",
	} {
		t.Run(strings.ReplaceAll(attributes, "\n", " "), func(t *testing.T) {
			run(t, resource.TestStep{Config: tokenConfig(it, "role = \"viewer\"\n"+attributes), ExpectError: regexp.MustCompile(told)})
		})
	}
	// A digest is registered once, whoever has it.
	known := made()
	role, err := roleID(context.Background(), organization(t, it), "viewer")
	must(t, err)
	_, err = organization(t, it).CreateToken(context.Background(), api.Fields{"name": "tf-known", "role_id": role.ID, "sha256": digestOf(known)})
	must(t, err)
	run(t, resource.TestStep{Config: tokenConfig(it, "name = \"x\"\nrole = \"viewer\"\ndigest = \""+digestOf(known)+"\""), ExpectError: regexp.MustCompile("registered|used")})
	run(t, resource.TestStep{Config: tokenConfig(it, "name = \"x\"\nrole = \"no-such-role\"\ngenerate = true"), ExpectError: regexp.MustCompile("no role")})
	run(t, resource.TestStep{Config: with(it, it.Tokens["weak"], "resource \"tokenward_token\" \"it\" {\nname = \"x\"\nrole = \"viewer\"\ngenerate = true\n}"), ExpectError: regexp.MustCompile("token:manage")})
}

func TestATokenOfOneRunIsTakenBackWhenTheRunEnds(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := with(it, it.Admin, `
ephemeral "tokenward_token" "run" {
  role        = "viewer"
  name_prefix = "tf-run-"
}
resource "terraform_data" "uses_it" {
  input = "x"
}
`)
	run(t, resource.TestStep{Config: config, Check: func(*terraform.State) error {
		all, err := of.Tokens(context.Background())
		for _, one := range all {
			if strings.HasPrefix(one.Name, "tf-run-") {
				return fmt.Errorf("%s is still accepted", one.Name)
			}
		}
		return err
	}})
}

func TestWhatSomebodyElseMadeIsNotAdopted(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	role, err := roleID(context.Background(), of, "viewer")
	must(t, err)
	config := tokenConfig(it, "name = \"tf-killed\"\nrole = \"viewer\"\ngenerate = true")
	orphan, err := of.CreateToken(context.Background(), api.Fields{"name": "tf-killed", "role_id": role.ID})
	must(t, err)
	verify(t, it, orphan.Text)
	run(t, resource.TestStep{Config: config, ExpectError: regexp.MustCompile("import")})
	must(t, of.DeleteToken(context.Background(), orphan.ID))
	// The same, made by this token a moment ago and never used: an apply that was killed.
	orphan, err = of.CreateToken(context.Background(), api.Fields{"name": "tf-killed", "role_id": role.ID})
	must(t, err)
	// A run that begins in the second of the one before cannot tell them apart.
	time.Sleep(1100 * time.Millisecond)
	run(t, resource.TestStep{Config: config, Check: func(state *terraform.State) error {
		if attribute(state, token, "id") != orphan.ID || verify(t, it, attribute(state, token, "token")) != "valid" {
			return fmt.Errorf("it was not adopted")
		}
		return nil
	}})
}
