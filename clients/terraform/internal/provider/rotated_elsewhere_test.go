package provider

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// words is what a core says, without its lines and boxes.
func (c core) words(arguments ...string) string {
	c.t.Helper()
	return strings.Join(strings.Fields(strings.ReplaceAll(c.run(append(arguments, "-no-color")...), "│", "")), " ")
}

// A plan that rotates says until when the old secret works, and a secret that somebody else has put in its place is told until this
// configuration gives a new one.
func TestAPlanTellsUntilWhenTheOldSecretWorksAndOfOneThatIsNotItsOwn(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	const moment = `The old secret works until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ \(24h from now, and later where the apply is later\), `
	const newer = "The token has a newer secret than this configuration has given it"
	for kind, rotate := range map[string]func(id string) error{
		"tokenward_token": func(id string) error {
			_, err := of.RotateToken(ctx, id, "", api.Fields{"keep": "0"})
			return err
		},
		"tokenward_policy_token": func(id string) error {
			_, err := of.RotatePolicyToken(ctx, id, "", api.Fields{"keep": "0"})
			return err
		},
	} {
		config := func(trigger string) string {
			policy := ""
			if kind == "tokenward_policy_token" {
				policy = "  policy = \"allow if true\"\n"
			}
			return fmt.Sprintf("resource %q \"it\" {\n  name = \"tf-newer\"\n  role = \"viewer\"\n%s  generate = true\n  overlap = \"24h\"\n  rotate_triggers = { a = %q }\n}\n", kind, policy, trigger)
		}
		c := newCore(t, it, config("one"))
		c.run("apply", "-auto-approve", "-input=false")
		if said := c.words("plan", "-input=false"); strings.Contains(said, newer) {
			t.Errorf("%s: of its own secret it says: %s", kind, said)
		}
		c.write(config("two"))
		if said := c.words("plan", "-input=false"); !regexp.MustCompile(moment + "never used").MatchString(said) {
			t.Errorf("%s: the plan of a rotation says: %s", kind, said)
		}
		verify(t, it, c.generated()[0])
		c.write(config("one"))
		must(t, rotate(c.ids()[kind+".it"]["id"]))
		// As often as it is looked at.
		c.run("apply", "-refresh-only", "-auto-approve", "-input=false")
		if said := c.words("plan", "-input=false"); !strings.Contains(said, newer) || !strings.Contains(said, "it has the version 2, and the state knows 1") {
			t.Errorf("%s: of a foreign secret it says: %s", kind, said)
		}
		if code := verify(t, it, c.generated()[0]); code != "replaced" {
			t.Errorf("%s: the secret of the state is %s", kind, code)
		}
		c.write(config("two"))
		c.run("apply", "-auto-approve", "-input=false")
		if said := c.words("plan", "-input=false"); strings.Contains(said, newer) {
			t.Errorf("%s: after a rotation it says: %s", kind, said)
		}
		if secret := c.generated()[0]; verify(t, it, secret) != lives(secret) {
			t.Errorf("%s: the secret of the state is %s", kind, verify(t, it, secret))
		}
		c.run("apply", "-destroy", "-auto-approve", "-input=false")
	}
}

// What somebody changes between a saved plan and its apply is no fault of the apply; the plan after it shows it.
func TestWhatIsChangedBetweenPlanAndApplyIsShownByTheNextPlan(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	config := func(words string) string {
		return fmt.Sprintf("resource \"tokenward_token\" \"it\" {\n  name = \"tf-between\"\n  description = %q\n  role = \"viewer\"\n  labels = { team = \"shop\" }\n  digest = %q\n}\n", words, digestOf("tf-between, and more of it"))
	}
	c := newCore(t, it, config("one"))
	c.run("apply", "-auto-approve", "-input=false")
	c.write(config("two"))
	c.run("plan", "-out=plan", "-input=false")
	id := c.ids()["tokenward_token.it"]["id"]
	_, err := of.EditToken(ctx, id, "", api.Fields{"labels": api.Fields{"team": "bank"}})
	must(t, err)
	c.run("apply", "-input=false", "plan")
	now, err := of.Token(ctx, id)
	must(t, err)
	if now.Description != "two" || now.Labels["team"] != "bank" {
		t.Errorf("after the apply it is %+v", now)
	}
	var exit *exec.ExitError
	if err := c.command("plan", "-detailed-exitcode", "-input=false").Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the plan after it shows nothing: %v", err)
	}
	c.run("apply", "-auto-approve", "-input=false")
	if now, err = of.Token(ctx, id); err != nil || now.Labels["team"] != "shop" {
		t.Errorf("at last it is %+v, %v", now, err)
	}
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
}

// A role that an interrupted apply has made has no right on projects yet, or those that are wanted; one that has more is another one.
func TestARoleOfAKilledApplyIsAdoptedOnlyWithTheRightsThatAreWanted(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), context.Background()
	project, err := of.CreateProject(ctx, api.Fields{"name": "tf-half-role"})
	must(t, err)
	t.Cleanup(func() { must(t, of.DeleteProject(ctx, project.ID)) })
	admin := fmt.Sprintf("  projects = { %q = { admin = true } }\n", project.ID)
	for at, try := range []struct {
		given   bool
		wanted  string
		adopted bool
	}{{false, "", true}, {false, admin, true}, {true, admin, true}, {true, "", false}} {
		name := fmt.Sprintf("tf-half-role-%d", at)
		role, err := of.CreateRole(ctx, api.Fields{"name": name, "permissions": []string{"bills:read"}})
		must(t, err)
		if try.given {
			role.Permissions = []string{"bills:read"}
			role.ProjectPermissions, role.ClusterPermissions = []api.ProjectPermission{{ProjectID: project.ID, IsAdmin: true}}, []api.ClusterPermission{}
			_, err = of.EditRole(ctx, role)
			must(t, err)
		}
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		step := resource.TestStep{Config: with(it, it.Admin, fmt.Sprintf("resource \"tokenward_role\" \"it\" {\n  name = %q\n  permissions = [\"bills:read\"]\n%s}\n", name, try.wanted))}
		if step.Check = resource.TestCheckResourceAttr("tokenward_role.it", "id", role.ID); !try.adopted {
			step.ExpectError = regexp.MustCompile("import")
		}
		t.Run(name, func(t *testing.T) { run(t, step) })
		if !try.adopted {
			must(t, of.DeleteRole(ctx, role.ID, ""))
		}
	}
}
