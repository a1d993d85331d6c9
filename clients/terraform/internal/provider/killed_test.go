package provider

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// Of each kind: what an apply that was killed has made is taken over where it is as it is wanted, and is an error that names it where
// it is not.
func TestWhatAKilledApplyHasMadeIsTakenOverOfEachKindWhereItIsAsWanted(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	viewer, err := roleID(ctx, of, "viewer")
	must(t, err)
	devops, err := roleID(ctx, of, "devops")
	must(t, err)
	home, err := of.CreateProject(ctx, api.Fields{"name": "home"})
	must(t, err)
	place, err := of.CreateCluster(ctx, api.Fields{"name": "place", "region": "eu-west-3", "cloud_provider": "AWS"})
	must(t, err)
	in := api.Place{Scope: "project", ID: home.ID}
	later := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	type try struct {
		kind, wanted string
		// What is there already; the id of it.
		made func(name string) (string, error)

		refused bool
	}
	token := func(fields api.Fields, off bool) func(string) (string, error) {
		return func(name string) (string, error) {
			all := api.Fields{"name": name, "role_id": viewer.ID}
			for field, value := range fields {
				all[field] = value
			}
			it, err := of.CreateToken(ctx, all)
			if err == nil && off {
				_, err = of.EnableToken(ctx, it.ID, "", false)
			}
			return it.ID, err
		}
	}
	policyToken := func(fields api.Fields, off bool) func(string) (string, error) {
		return func(name string) (string, error) {
			all := api.Fields{"name": name, "role_id": viewer.ID, "opa_policy": "allow if true"}
			for field, value := range fields {
				all[field] = value
			}
			it, err := of.CreatePolicyToken(ctx, all)
			if err == nil && off {
				_, err = of.EnablePolicyToken(ctx, it.ID, "", false)
			}
			return it.ID, err
		}
	}
	project := func(description string) func(string) (string, error) {
		return func(name string) (string, error) {
			it, err := of.CreateProject(ctx, api.Fields{"name": name, "description": description})
			return it.ID, err
		}
	}
	cluster := func(region string) func(string) (string, error) {
		return func(name string) (string, error) {
			it, err := of.CreateCluster(ctx, api.Fields{"name": name, "region": region, "cloud_provider": "AWS"})
			return it.ID, err
		}
	}
	environment := func(mode string) func(string) (string, error) {
		return func(name string) (string, error) {
			it, err := of.CreateEnvironment(ctx, home.ID, api.Fields{"name": name, "mode": mode, "cluster": place.ID})
			return it.ID, err
		}
	}
	variable := func(secret bool, fields api.Fields) func(string) (string, error) {
		return func(name string) (string, error) {
			all := api.Fields{"key": name}
			for field, value := range fields {
				all[field] = value
			}
			it, err := of.CreateVariable(ctx, in, secret, all)
			return it.ID, err
		}
	}
	member := func(role string) func(string) (string, error) {
		return func(name string) (string, error) {
			_, err := of.Invite(ctx, name, role)
			// It is known by its address.
			return name, err
		}
	}
	document := func(text string) func(string) (string, error) {
		return func(name string) (string, error) {
			it, err := of.PutAPI(ctx, name, "", api.Document{Format: "yaml", Text: text})
			return it.ID, err
		}
	}
	named := func(kind, more string) string {
		return fmt.Sprintf("resource \"tokenward_%s\" \"it\" {\n  name = \"NAME\"\n%s\n}\n", kind, more)
	}
	plain := func(more string) string {
		return fmt.Sprintf("resource \"tokenward_variable\" \"it\" {\n  project_id = %q\n  key = \"NAME\"\n%s\n}\n", home.ID, more)
	}
	invited := "resource \"tokenward_member\" \"it\" {\n  email = \"NAME\"\n  role = \"viewer\"\n}\n"
	inPlace := fmt.Sprintf("  project_id = %q\n  cluster_id = %q\n  mode = \"STAGING\"", home.ID, place.ID)
	own := "  role = \"viewer\"\n  generate = true\n"
	for at, it := range []try{
		{kind: "project", wanted: named("project", "  description = \"as wanted\""), made: project("as wanted")},
		{kind: "project", wanted: named("project", "  description = \"as wanted\""), made: project("of somebody else"), refused: true},
		{kind: "cluster", wanted: named("cluster", "  region = \"eu-west-3\"\n  cloud_provider = \"AWS\""), made: cluster("eu-west-3")},
		{kind: "cluster", wanted: named("cluster", "  region = \"eu-west-3\"\n  cloud_provider = \"AWS\""), made: cluster("eu-west-1"), refused: true},
		{kind: "environment", wanted: named("environment", inPlace), made: environment("STAGING")},
		{kind: "environment", wanted: named("environment", inPlace), made: environment("PRODUCTION"), refused: true},
		{kind: "variable", wanted: plain("  value = \"one\""), made: variable(false, api.Fields{"value": "one"})},
		{kind: "variable", wanted: plain("  value = \"one\""), made: variable(false, api.Fields{"value": "two"}), refused: true},
		{kind: "variable", wanted: plain("  secret_wo = \"nobody-knows\"\n  secret_wo_version = 1"), made: variable(true, api.Fields{"value": "nobody-knows"})},
		{kind: "variable", wanted: plain("  secret_wo = \"nobody-knows\"\n  secret_wo_version = 1"), made: variable(true, api.Fields{"value": "x", "description": "of somebody else"}), refused: true},
		{kind: "member", wanted: invited, made: member(viewer.ID)},
		{kind: "member", wanted: invited, made: member(devops.ID), refused: true},
		{kind: "api", wanted: named("api", fmt.Sprintf("  document = %q", oneRoute)), made: document(oneRoute)},
		{kind: "api", wanted: named("api", fmt.Sprintf("  document = %q", oneRoute)), made: document(twoRoutes), refused: true},
		// One that begins later, and one that was switched off before the core was killed.
		{kind: "token", wanted: named("token", own+"  not_before = \""+later+"\""), made: token(api.Fields{"not_before": later}, false)},
		{kind: "token", wanted: named("token", own+"  enabled = false"), made: token(nil, true)},
		{kind: "token", wanted: named("token", own), made: token(nil, true), refused: true},
		{kind: "token", wanted: named("token", own+"  expires_in = \"24h\""), made: token(api.Fields{"expires_at": later}, false)},
		{kind: "token", wanted: named("token", own+"  expires_at = \"2099-01-01T00:30:00Z\""), made: token(api.Fields{"expires_at": "2099-01-01T00:00:00Z"}, false), refused: true},
		{kind: "policy_token", wanted: named("policy_token", own+"  policy = \"allow if true\"\n  enabled = false\n  expires_in = \"24h\""), made: policyToken(api.Fields{"expires_at": later}, true)},
		{kind: "policy_token", wanted: named("policy_token", own+"  policy = \"allow if true\""), made: policyToken(nil, true), refused: true},
	} {
		name := fmt.Sprintf("killed-%d", at)
		switch it.kind {
		case "member":
			name += "@acme.example"
		case "variable":
			name = fmt.Sprintf("KILLED_%d", at)
		}
		id, err := it.made(name)
		must(t, err)
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		step := resource.TestStep{Config: with(s.world, s.Admin, strings.ReplaceAll(it.wanted, "NAME", name))}
		if step.Check = resource.TestCheckResourceAttr("tokenward_"+it.kind+".it", "id", id); it.refused {
			step.ExpectError = regexp.MustCompile("import")
		}
		t.Run(fmt.Sprintf("%s %d", it.kind, at), func(t *testing.T) { run(t, step) })
	}
	s.healthy()
}
