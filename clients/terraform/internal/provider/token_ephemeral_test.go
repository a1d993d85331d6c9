package provider

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const ofRun = "tokenward_token"

// openRun opens the token of a run as a core does, and answers what it is given.
func openRun(t *testing.T, server tfprotov6.ProviderServer, all *tfprotov6.GetProviderSchemaResponse, said map[string]string) (*tfprotov6.OpenEphemeralResourceResponse, map[string]string) {
	t.Helper()
	kind := all.EphemeralResourceSchemas[ofRun].ValueType().(tftypes.Object)
	values := map[string]tftypes.Value{}
	for name, of := range kind.AttributeTypes {
		values[name] = tftypes.NewValue(of, nil)
		if text, given := said[name]; given {
			values[name] = tftypes.NewValue(of, text)
		}
	}
	config, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, values))
	must(t, err)
	opened, err := server.OpenEphemeralResource(t.Context(), &tfprotov6.OpenEphemeralResourceRequest{TypeName: ofRun, Config: &config})
	must(t, err)
	texts := map[string]string{}
	if opened.Result != nil {
		result, err := opened.Result.Unmarshal(kind)
		must(t, err)
		must(t, result.As(&values))
		for name, value := range values {
			var text string
			if value.Type().Is(tftypes.String) && !value.IsNull() {
				must(t, value.As(&text))
				texts[name] = text
			}
		}
	}
	return opened, texts
}

func TestTheTokenOfARunIsRenewedWhileItGoesOnAndClosedAtItsEnd(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), t.Context()
	server, all := asked(t, it)
	opened, run := openRun(t, server, all, map[string]string{"role": "viewer", "expires_in": "10m", "name_prefix": "tf-open-"})
	noErrors(t, opened.Diagnostics)
	if code := verify(t, it, run["token"]); code != "valid" || !strings.HasPrefix(run["name"], "tf-open-") {
		t.Fatalf("%s is %s", run["name"], code)
	}
	if strings.Contains(string(opened.Private), run["token"]) {
		t.Error("what the core keeps for the provider has the secret")
	}
	if until := time.Until(opened.RenewAt); until < 4*time.Minute || until > 6*time.Minute {
		t.Errorf("it is renewed in %s", until)
	}
	// Somebody has made it end sooner: the renewal gives it its life again.
	_, err := of.EditToken(ctx, run["id"], "", api.Fields{"expires_at": time.Now().Add(time.Minute).UTC().Format(time.RFC3339)})
	must(t, err)
	renewed, err := server.RenewEphemeralResource(ctx, &tfprotov6.RenewEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	now, err := of.Token(ctx, run["id"])
	must(t, err)
	if left := time.Until(*now.ExpiresAt); len(renewed.Diagnostics) > 0 || left < 9*time.Minute || left > 11*time.Minute || renewed.RenewAt.IsZero() {
		t.Errorf("after the renewal it has %s, and is renewed again at %s: %v", left, renewed.RenewAt, renewed.Diagnostics)
	}
	for time := range 2 {
		closed, err := server.CloseEphemeralResource(ctx, &tfprotov6.CloseEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
		must(t, err)
		if code := verify(t, it, run["token"]); len(closed.Diagnostics) > 0 || code != "revoked" {
			t.Errorf("closed %d times it is %s: %v", time+1, code, closed.Diagnostics)
		}
	}
	// One that is no more cannot be renewed, now or later: a warning, and the run goes on.
	renewed, err = server.RenewEphemeralResource(ctx, &tfprotov6.RenewEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	if len(renewed.Diagnostics) != 1 || renewed.Diagnostics[0].Severity != tfprotov6.DiagnosticSeverityWarning || !renewed.RenewAt.IsZero() {
		t.Errorf("of a renewal that fails is told: %v, and it is tried again at %s", renewed.Diagnostics, renewed.RenewAt)
	}
}

func TestATokenOfARunWhoseServerIsAwayForAMomentIsRenewedAfterIt(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	server, all := asked(t, s.world)
	opened, run := openRun(t, server, all, map[string]string{"role": "viewer", "expires_in": "10m"})
	noErrors(t, opened.Diagnostics)
	s.kill()
	renewed, err := server.RenewEphemeralResource(ctx, &tfprotov6.RenewEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	if until := time.Until(renewed.RenewAt); len(renewed.Diagnostics) != 1 || renewed.Diagnostics[0].Severity != tfprotov6.DiagnosticSeverityWarning || until <= 0 || until > 5*time.Minute {
		t.Errorf("without a server it is told: %v, and tried again in %s", renewed.Diagnostics, until)
	}
	s.start()
	renewed, err = server.RenewEphemeralResource(ctx, &tfprotov6.RenewEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	if len(renewed.Diagnostics) > 0 || renewed.RenewAt.IsZero() {
		t.Errorf("with it: %v", renewed.Diagnostics)
	}
	closed, err := server.CloseEphemeralResource(ctx, &tfprotov6.CloseEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	if code := verify(t, s.world, run["token"]); len(closed.Diagnostics) > 0 || code != "revoked" {
		t.Errorf("closed it is %s: %v", code, closed.Diagnostics)
	}
}

func TestTheTokenOfARunThatHasEndedByItselfIsClosed(t *testing.T) {
	it := theWorld(t)
	of, ctx := organization(t, it), t.Context()
	server, all := asked(t, it)
	opened, run := openRun(t, server, all, map[string]string{"role": "viewer"})
	noErrors(t, opened.Diagnostics)
	// Where nothing is said it lives for a quarter of an hour, should a core be killed.
	end, err := time.Parse(time.RFC3339, run["expires_at"])
	must(t, err)
	if left := time.Until(end); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("it lives for %s", left)
	}
	_, err = of.EditToken(ctx, run["id"], "", api.Fields{"expires_at": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)})
	must(t, err)
	time.Sleep(1200 * time.Millisecond)
	closed, err := server.CloseEphemeralResource(ctx, &tfprotov6.CloseEphemeralResourceRequest{TypeName: ofRun, Private: opened.Private})
	must(t, err)
	if code := verify(t, it, run["token"]); len(closed.Diagnostics) > 0 || code == "valid" {
		t.Errorf("it is %s: %v", code, closed.Diagnostics)
	}
	// What a core did not keep is told, and nothing is guessed.
	closed, err = server.CloseEphemeralResource(ctx, &tfprotov6.CloseEphemeralResourceRequest{TypeName: ofRun})
	must(t, err)
	if len(closed.Diagnostics) != 1 || !strings.Contains(closed.Diagnostics[0].Detail, "tokenward token delete") {
		t.Errorf("it says: %v", closed.Diagnostics)
	}
}

func TestATokenOfARunThatCannotBeIsToldAtItsAttribute(t *testing.T) {
	it := theWorld(t)
	server, all := asked(t, it)
	for _, wrong := range []struct {
		said map[string]string
		told string
	}{
		{map[string]string{"role": "viewer", "expires_in": "25h"}, "from 1m to 24h"},
		{map[string]string{"role": "viewer", "expires_in": "1s"}, "from 1m to 24h"},
		{map[string]string{"role": "viewer", "expires_in": "soon"}, "from 1m to 24h"},
		{map[string]string{"role": "nobody"}, "no role"},
	} {
		opened, _ := openRun(t, server, all, wrong.said)
		if len(opened.Diagnostics) != 1 || !strings.Contains(opened.Diagnostics[0].Detail, wrong.told) || opened.Diagnostics[0].Attribute == nil {
			t.Errorf("%v: %v", wrong.said, opened.Diagnostics)
		}
	}
}

// A run that fails, in the plan or in the apply, takes its token back; one that is killed leaves it to its end.
func TestTheTokenOfARunThatFailsIsTakenBack(t *testing.T) {
	s := newServer(t)
	of := organization(t, s.world)
	living := func() (names []string) {
		all, err := of.Tokens(t.Context())
		must(t, err)
		for _, it := range all {
			if strings.HasPrefix(it.Name, "fails-") {
				names = append(names, it.Name)
			}
		}
		return names
	}
	const opens = "ephemeral \"tokenward_token\" \"it\" {\n  role        = \"viewer\"\n  name_prefix = \"fails-\"\n}\n" +
		"provider \"tokenward\" {\n  alias = \"run\"\n  token = ephemeral.tokenward_token.it.token\n}\n"
	c := newCore(t, s.world, opens+`
data "tokenward_project" "it" {
  provider = tokenward.run
  name     = "no-such-project"
}
`)
	if said, err := c.command("plan", "-input=false").CombinedOutput(); err == nil || !strings.Contains(string(said), "no-such-project") {
		t.Errorf("it says: %s", said)
	}
	if left := living(); len(left) > 0 {
		t.Errorf("after a plan that failed there are %v", left)
	}
	// What it may not do it is told, by its own token.
	c.write(opens + "resource \"tokenward_project\" \"it\" {\n  provider = tokenward.run\n  name     = \"mine\"\n}\n")
	if said, err := c.command("apply", "-auto-approve", "-input=false").CombinedOutput(); err == nil || !strings.Contains(string(said), "project:create") {
		t.Errorf("it says: %s", said)
	}
	if left := living(); len(left) > 0 {
		t.Errorf("after an apply that failed there are %v", left)
	}
	if events := c.files(); len(events) == 0 {
		t.Error("there is no trace")
	}
	// The core waits for a command of the run, and is killed with the provider.
	c.write(opens + "data \"tokenward_roles\" \"it\" {\n  provider = tokenward.run\n}\nresource \"terraform_data\" \"it\" {\n  input = data.tokenward_roles.it.ids\n  provisioner \"local-exec\" {\n    command = \"touch reached; sleep 9\"\n  }\n}\n")
	killed := c.command("apply", "-auto-approve", "-input=false")
	must(t, killed.Start())
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(c.folder + "/reached"); err == nil {
			break
		}
	}
	must(t, killed.Process.Kill())
	_ = killed.Wait()
	all, err := of.Tokens(t.Context())
	must(t, err)
	for _, it := range all {
		if strings.HasPrefix(it.Name, "fails-") && (it.ExpiresAt == nil || time.Until(*it.ExpiresAt) > 16*time.Minute) {
			t.Errorf("%s lives until %v", it.Name, it.ExpiresAt)
		}
	}
	if len(living()) != 1 {
		t.Errorf("after the kill there are %v", living())
	}
	s.healthy()
}
