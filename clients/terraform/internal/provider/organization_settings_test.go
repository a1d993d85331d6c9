package provider

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const itself = "tokenward_organization.it"

func organizationConfig(more string) string {
	return "resource \"tokenward_organization\" \"it\" {\n  name = \"Acme\"\n" + more + "\n}\n"
}

// What an organization asks of tokens, how long it keeps its events, and which sessions it refuses: taken over as it is, changed in place,
// left alone where nothing is said, put right where somebody changed it, and found again by an import.
func TestWhatAnOrganizationAsksIsTakenOverChangedAndLeftAlone(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	config := func(more string) string { return with(s.world, s.Admin, organizationConfig(more)) }
	byHand := func(life, kept string) {
		_, err := of.PutTokenPolicy(ctx, "", api.TokenPolicy{LifeRules: api.LifeRules{MaxLifetime: &life}})
		must(t, err)
		_, err = of.PutEventRetention(ctx, "", &kept)
		must(t, err)
	}
	has := func(check func(api.TokenPolicy, string) bool) resource.TestCheckFunc {
		return func(*terraform.State) error {
			policy, err := of.TokenPolicy(ctx)
			if err != nil {
				return err
			}
			kept, err := of.EventRetention(ctx)
			if err != nil {
				return err
			}
			if !check(policy, textOf(kept.Own)) {
				return fmt.Errorf("the server has %+v (%s), and %q", policy, textOf(policy.MaxLifetime), textOf(kept.Own))
			}
			return nil
		}
	}
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(itself, plancheck.ResourceActionUpdate)}}
	byHand("60d", "700d")
	const both = "  event_retention = \"1y\"\n  token_policy = {\n    max_lifetime = \"365d\"\n    default_lifetime = \"7d\"\n    max_overlap = \"48h\"\n    on_reuse = \"disable\"\n    attest_every = \"1y\"\n    roles = { VIEWER = { max_lifetime = \"24h\", end_required = true } }\n  }"
	asked := func(policy api.TokenPolicy, kept string) bool {
		return textOf(policy.MaxLifetime) == "365d" && textOf(policy.DefaultLifetime) == "1w" && textOf(policy.MaxOverlap) == "2d" && policy.OnReuse == "disable" &&
			textOf(policy.AttestEvery) == "365d" && len(policy.Roles) == 1 && textOf(policy.Roles[0].MaxLifetime) == "1d" && policy.Roles[0].EndRequired && kept == "365d"
	}
	run(t,
		// Nothing is said of them, and nothing is changed.
		resource.TestStep{Config: config(""), Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr(itself, "token_policy.max_lifetime", "60d"), resource.TestCheckResourceAttr(itself, "event_retention", "100w"),
			resource.TestCheckResourceAttr(itself, "forbids_device", "false"), resource.TestCheckResourceAttr(itself, "sign_in.two_factors", "false"),
			resource.TestCheckResourceAttr(itself, "sign_in.providers.#", "0"),
			has(func(policy api.TokenPolicy, kept string) bool {
				return textOf(policy.MaxLifetime) == "60d" && kept == "100w"
			}))},
		// The plan after each step is empty, whatever words the server has for a length: the framework of the tests looks at that.
		resource.TestStep{Config: config(both), ConfigPlanChecks: inPlace, Check: resource.ComposeTestCheckFunc(has(asked),
			resource.TestCheckResourceAttr(itself, "token_policy.roles.VIEWER.max_lifetime", "24h"), resource.TestCheckResourceAttr(itself, "event_retention", "1y"))},
		resource.TestStep{Config: config(both), ResourceName: itself, ImportState: true, ImportStateId: "Acme", ImportStateVerify: true,
			// In the words of the server after an import; they compare by meaning.
			ImportStateVerifyIgnore: []string{"token_policy", "event_retention"}},
		resource.TestStep{PreConfig: func() { byHand("30d", "400d") }, Config: config(both), PlanOnly: true, ExpectNonEmptyPlan: true},
		resource.TestStep{Config: config(both), ConfigPlanChecks: inPlace, Check: has(asked)},
		// What is not said any more is left as it is, and what is said of one changes no other.
		resource.TestStep{Config: config("  forbids_device = true"), ConfigPlanChecks: inPlace, Check: resource.ComposeTestCheckFunc(has(asked), resource.TestCheckResourceAttr(itself, "forbids_device", "true"))},
		resource.TestStep{Config: config("  event_retention = \"400d\"\n  forbids_device = false"), Check: has(func(policy api.TokenPolicy, kept string) bool { return asked(policy, "365d") && kept == "400d" })},
		resource.TestStep{Config: config("  event_retention = \"none\"\n  token_policy = {}"), ConfigPlanChecks: inPlace, Check: has(func(policy api.TokenPolicy, kept string) bool {
			return samePolicy(policy, api.TokenPolicy{}) && kept == ""
		})},
		resource.TestStep{PreConfig: func() { byHand("30d", "400d") }, Config: config("  event_retention = \"none\"\n  token_policy = {}"), ConfigPlanChecks: inPlace, Check: has(func(policy api.TokenPolicy, kept string) bool {
			return samePolicy(policy, api.TokenPolicy{}) && kept == ""
		})},
	)
	s.healthy()
}

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func TestWhatAnOrganizationCannotAskIsTold(t *testing.T) {
	s := newServer(t)
	for more, told := range map[string]string{
		"  event_retention = \"forever\"":                                                             "no\\s+length\\s+of\\s+time",
		"  event_retention = \"1h\"":                                                                  "at\\s+least\\s+a\\s+day",
		"  token_policy = { max_lifetime = \"soon\" }":                                                "no\\s+length\\s+of\\s+time",
		"  token_policy = { max_lifetime = \"1d\", default_lifetime = \"2d\" }":                       "is\\s+longer\\s+than",
		"  token_policy = { on_reuse = \"cry\" }":                                                     "mark,\\s+disable",
		"  token_policy = { attest_every = \"1h\" }":                                                  "attest_every",
		"  token_policy = { roles = { nobody = { max_lifetime = \"1d\" } } }":                         "no\\s+role",
		"  token_policy = { roles = { viewer = { max_lifetime = \"1.5h\" } } }":                       "no\\s+length\\s+of\\s+time",
		"  token_policy = { roles = { viewer = {} } }":                                                "asks\\s+nothing",
		"  sign_in = { two_factors = true }":                                                          "(?i)read-only|unconfigurable",
		"  token_policy = { roles = { viewer = { max_lifetime = \"1d\", max_overlap = \"1s\" } } }\n": "max_overlap",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: with(s.world, s.Admin, organizationConfig(more)), ExpectError: regexp.MustCompile(told)})
		})
	}
	policy, err := organization(t, s.world).TokenPolicy(t.Context())
	if must(t, err); !samePolicy(policy, api.TokenPolicy{}) {
		t.Errorf("the server has %+v", policy)
	}
}

// What is done before something is refused is in the state; and where somebody else was faster nothing is overwritten.
func TestOfAnOrganizationWhatWasDoneIsKeptAndNothingIsOverwritten(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	config := func(words, life, kept string) string {
		return organizationConfig(fmt.Sprintf("  description = %q\n  event_retention = %q\n  token_policy = { max_lifetime = %q, default_lifetime = \"30d\" }", words, kept, life))
	}
	c := newCore(t, s.world, config("one", "90d", "400d"))
	c.run("apply", "-auto-approve", "-input=false")
	way := counting(t, s.world)
	c.write(config("two", "20d", "500d"))
	if out, err := c.command("apply", "-auto-approve", "-input=false", "-no-color").CombinedOutput(); err == nil || !strings.Contains(string(out), "default_lifetime") {
		t.Errorf("it says: %s", out)
	}
	if now := c.ids()[itself]; now["description"] != "two" || now["event_retention"] != "400d" {
		t.Errorf("in the state is %v", now)
	}
	plain := c.env
	c.env = append(append([]string{}, plain...), "TOKENWARD_URL="+way.URL)
	c.write(config("two", "100d", "500d"))
	c.run("apply", "-auto-approve", "-input=false")
	updates := 0
	for _, asked := range way.take() {
		if !strings.HasPrefix(asked, "GET ") {
			if updates++; !strings.HasSuffix(asked, " of a version") {
				t.Errorf("no version is named by %s", asked)
			}
		}
	}
	if updates != 2 {
		t.Errorf("%d were written", updates)
	}
	c.env = append(append([]string{}, plain...), "TOKENWARD_URL="+outrun(t, s.world, strings.NewReplacer("110d", "120d", "600d", "650d")))
	for _, wanted := range []struct{ life, kept string }{{"110d", "500d"}, {"120d", "600d"}} {
		c.write(config("two", wanted.life, wanted.kept))
		out, err := c.command("apply", "-auto-approve", "-input=false", "-no-color").CombinedOutput()
		if said := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", "")), " "); err == nil || !strings.Contains(said, "nothing was overwritten") {
			t.Errorf("it says: %s", said)
		}
	}
	policy, err := of.TokenPolicy(ctx)
	must(t, err)
	kept, err := of.EventRetention(ctx)
	must(t, err)
	if textOf(policy.MaxLifetime) != "120d" || textOf(kept.Own) != "650d" {
		t.Errorf("the server has %s and %s", textOf(policy.MaxLifetime), textOf(kept.Own))
	}
	c.env = plain
	if said := c.words("apply", "-destroy", "-auto-approve", "-input=false"); !strings.Contains(said, "forgotten, and not deleted") {
		t.Errorf("it says: %s", said)
	}
	if policy, err = of.TokenPolicy(ctx); err != nil || textOf(policy.MaxLifetime) != "120d" {
		t.Errorf("after the end the server has %+v, %v", policy, err)
	}
	s.healthy()
}

// A token that may change the organization and not see all of it manages what it sees; what it is to write it must see.
func TestATokenThatSeesLessOfAnOrganizationManagesTheRest(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	admin, err := roleID(ctx, of, "admin")
	must(t, err)
	narrow, err := of.CreateToken(ctx, api.Fields{"name": "narrow", "role_id": admin.ID, "permissions": []string{"organization:read", "organization:edit"}})
	must(t, err)
	config := func(more string) string { return with(s.world, narrow.Text, organizationConfig(more)) }
	run(t,
		resource.TestStep{Config: config("  description = \"sells\""), Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr(itself, "description", "sells"), resource.TestCheckNoResourceAttr(itself, "event_retention"))},
		resource.TestStep{Config: config("  event_retention = \"400d\""), ExpectError: regexp.MustCompile("narrowed\\s+to\\s+less")},
		resource.TestStep{Config: config("  token_policy = { max_lifetime = \"90d\" }"), ExpectError: regexp.MustCompile("narrowed\\s+to\\s+less")},
	)
	s.healthy()
}
