package provider

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// A rotation that succeeds before an edit that is refused: the new secret is in the state, is accepted, and is not made again; the edit
// and the life that counts from the rotation are made up for.
func TestWhatWasRotatedBeforeARefusedEditIsKept(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	devops, err := roleID(t.Context(), of, "devops")
	must(t, err)
	own, err := of.CreateToken(t.Context(), api.Fields{"name": "tf-half-right", "role_id": devops.ID})
	must(t, err)
	config := func(role, more string) string {
		return with(it, own.Text, fmt.Sprintf("resource \"tokenward_token\" \"it\" {\n  name = \"tf-half-done\"\n  role = %q\n  generate = true\n  expires_in = \"24h\"\n%s}\n", role, more))
	}
	var first, end string
	const june = "  rotate_triggers = { month = \"june\" }\n"
	run(t,
		resource.TestStep{Config: config("viewer", ""), Check: func(state *terraform.State) error {
			first, end = attribute(state, token, "token"), attribute(state, token, "expires_at")
			return nil
		}},
		resource.TestStep{PreConfig: func() { time.Sleep(1100 * time.Millisecond) }, Config: config("admin", june), ExpectError: regexp.MustCompile("may\\s+do\\s+more")},
		resource.TestStep{Config: config("viewer", june), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(token, plancheck.ResourceActionUpdate)}},
			Check: func(state *terraform.State) error {
				now := attribute(state, token, "token")
				if now == first || attribute(state, token, "version") != "2" || verify(t, it, now) != "valid" || verify(t, it, first) != "replaced" {
					return fmt.Errorf("the version is %s, and its secret %s", attribute(state, token, "version"), verify(t, it, now))
				}
				if attribute(state, token, "expires_at") == end {
					return fmt.Errorf("its life still counts from before the rotation")
				}
				return nil
			}},
	)
}

func TestATokenIsNarrowedToPlacesByTheirNames(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	one, err := of.CreateProject(ctx, api.Fields{"name": "tf-named/eu"})
	must(t, err)
	other, err := of.CreateProject(ctx, api.Fields{"name": "tf-named-other"})
	must(t, err)
	cluster, err := of.CreateCluster(ctx, api.Fields{"name": "tf-named", "region": "eu-west-3", "cloud_provider": "AWS"})
	must(t, err)
	staging, err := of.CreateEnvironment(ctx, one.ID, api.Fields{"name": "staging", "mode": "STAGING", "cluster": cluster.ID})
	must(t, err)
	t.Cleanup(func() {
		for _, id := range []string{one.ID, other.ID} {
			must(t, of.DeleteProject(ctx, id))
		}
		must(t, of.DeleteCluster(ctx, cluster.ID))
	})
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-named\"\nrole = \"devops\"\ngenerate = true\n"+more)
	}
	id := ""
	has := func(projects, environments int) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			id = attribute(state, token, "id")
			now, err := organization(t, it).Token(t.Context(), id)
			if err != nil || len(now.Projects) != projects || len(now.Environments) != environments || attribute(state, token, "version") != "1" {
				return fmt.Errorf("the server has %v and %v, %v", now.Projects, now.Environments, err)
			}
			return nil
		}
	}
	names := config("projects = [\"tf-named-other\"]\nenvironments = [\"tf-named/eu/staging\"]")
	run(t,
		resource.TestStep{Config: names, Check: has(1, 1)},
		// The same in other words is no other token.
		resource.TestStep{Config: config("projects = [\"TF-named-other\"]\nenvironments = [\"" + staging.ID + "\"]"), Check: has(1, 1)},
		resource.TestStep{Config: config("projects = [\"" + other.ID + "\", \"tf-named/eu\"]"), Check: has(2, 0)},
		resource.TestStep{Config: names, Check: has(1, 1)},
		resource.TestStep{PreConfig: func() {
			_, err := of.EditToken(t.Context(), id, "", api.Fields{"projects": []string{one.ID, other.ID}, "environments": nil})
			must(t, err)
		}, Config: names, PlanOnly: true, ExpectNonEmptyPlan: true},
		resource.TestStep{Config: names, Check: has(1, 1)},
	)
	for more, told := range map[string]string{
		"projects = [\"no-such\"]":                    "not\\s+among",
		"environments = [\"staging\"]":                "PROJECT/ENVIRONMENT",
		"environments = [\"tf-named-other/staging\"]": "not\\s+among",
		"environments = [\"tf-named/eu/production\"]": "not\\s+among",
		"projects = [\"" + staging.ID + "\"]":         "projects",
		"environments = [\"" + cluster.ID + "\"]":     "environments",
	} {
		t.Run(more, func(t *testing.T) {
			run(t, resource.TestStep{Config: config(more), ExpectError: regexp.MustCompile(told)})
		})
	}
}

// The other form of a secret is warned of where it is chosen: in the plan that makes a token, and in the plan that changes its form.
func TestASecretThatWillStandInTheStateIsWarnedOf(t *testing.T) {
	it := theWorld(t)
	form := func(more string) string {
		return "resource \"tokenward_token\" \"it\" {\n  name = \"tf-warned\"\n  role = \"viewer\"\n  " + more + "\n}\n"
	}
	const told = "This secret will stand in the state"
	c := newCore(t, it, form("generate = true"))
	says := func(wanted bool) {
		t.Helper()
		said := c.run("plan", "-input=false", "-no-color")
		if found := regexp.MustCompile(told).MatchString(said); found != wanted {
			t.Errorf("it says: %s", said)
		}
	}
	says(true)
	c.write(form("digest = \"" + digestOf(made()) + "\""))
	says(false)
	c.run("apply", "-auto-approve", "-input=false")
	c.write(form("generate = true"))
	says(true)
	c.run("apply", "-auto-approve", "-input=false")
	says(false)
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
}
