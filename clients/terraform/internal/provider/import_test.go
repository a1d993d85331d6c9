package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// Of each resource, by each way to write it: after the import the first apply takes over what only the configuration knows, and asks
// for nothing to be changed; the plan after it is empty.
func TestWhatWasImportedIsAdoptedWithoutARequest(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	project, err := of.CreateProject(ctx, api.Fields{"name": "shop/eu", "description": "as written"})
	must(t, err)
	cluster, err := of.CreateCluster(ctx, api.Fields{"name": "place", "region": "eu-west-3", "cloud_provider": "AWS"})
	must(t, err)
	environment, err := of.CreateEnvironment(ctx, project.ID, api.Fields{"name": "test/one", "mode": "STAGING", "cluster": cluster.ID})
	must(t, err)
	_, err = of.CreateVariable(ctx, api.Place{Scope: "project", ID: project.ID}, false, api.Fields{"key": "PLAIN", "value": "one"})
	must(t, err)
	_, err = of.CreateVariable(ctx, api.Place{Scope: "environment", ID: environment.ID}, true, api.Fields{"key": "HIDDEN", "value": "nobody-knows"})
	must(t, err)
	_, err = of.CreateRole(ctx, api.Fields{"name": "clerk", "permissions": []string{"bills:read"}})
	must(t, err)
	_, err = of.Invite(ctx, "clerk@acme.example", role.ID)
	must(t, err)
	_, err = of.PutAPI(ctx, "bills", "", api.Document{Format: "yaml", Text: oneRoute})
	must(t, err)
	secret := made()
	_, err = of.CreateToken(ctx, api.Fields{"name": "ci/deploy", "role_id": role.ID, "sha256": digestOf(secret), "networks": []any{api.Fields{"network": "127.0.0.1", "note": "here"}}, "expires_at": "2099-01-01T00:00:00Z", "projects": []string{project.ID}, "environments": []string{environment.ID}})
	must(t, err)
	generated, err := of.CreateToken(ctx, api.Fields{"name": "copy-1", "role_id": role.ID})
	must(t, err)
	_, err = of.CreatePolicyToken(ctx, api.Fields{"name": "reader", "role_id": role.ID, "opa_policy": "allow if true"})
	must(t, err)
	ways := map[string][]string{
		"tokenward_project.it":      {"shop/eu", "Acme/shop/eu", project.ID},
		"tokenward_cluster.it":      {"place", "acme/place"},
		"tokenward_environment.it":  {"shop/eu/test/one", "Acme/shop/eu/test/one", "test/one", environment.ID},
		"tokenward_variable.plain":  {"shop/eu/PLAIN", "Acme/shop/eu/PLAIN"},
		"tokenward_variable.hidden": {"shop/eu/test/one/HIDDEN", "Acme/shop/eu/test/one/HIDDEN"},
		"tokenward_role.it":         {"clerk", "Acme/clerk"},
		"tokenward_member.it":       {"clerk@acme.example", "Acme/CLERK@acme.example"},
		"tokenward_api.it":          {"bills", "Acme/bills"},
		"tokenward_organization.it": {"Acme", "Acme/Acme", of.ID},
		"tokenward_token.written":   {"ci/deploy", "Acme/ci/deploy"},
		"tokenward_token.copy":      {"copy-1", of.ID + "/copy-1", generated.ID},
		"tokenward_policy_token.it": {"reader", "Acme/reader"},
	}
	way := counting(t, s.world)
	c := newCore(t, s.world, fmt.Sprintf(`
resource "tokenward_project" "it" {
  name        = "shop/eu"
  description = "as written"
}
resource "tokenward_cluster" "it" {
  name           = "place"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.it.id
  cluster_id = tokenward_cluster.it.id
  name       = "test/one"
  mode       = "STAGING"
}
resource "tokenward_variable" "plain" {
  project_id = tokenward_project.it.id
  key        = "PLAIN"
  value      = "one"
}
resource "tokenward_variable" "hidden" {
  environment_id    = tokenward_environment.it.id
  key               = "HIDDEN"
  secret_wo         = "another-one"
  secret_wo_version = 7
}
resource "tokenward_role" "it" {
  name            = "clerk"
  permissions     = ["bills:read"]
  move_holders_to = "viewer"
}
resource "tokenward_member" "it" {
  email = "Clerk@acme.example"
  role  = %[1]q
}
resource "tokenward_api" "it" {
  name     = "bills"
  document = %[2]q
}
resource "tokenward_organization" "it" {
  name = "Acme"
}
resource "tokenward_token" "written" {
  name              = "ci/deploy"
  role              = %[1]q
  secret_wo         = %[3]q
  secret_wo_version = 7
  overlap           = "24h"
  end_when_silent   = "1h"
  on_expired        = "keep"
  expires_in        = "24h"
  networks          = ["127.0.0.1/32 here"]
  projects          = ["SHOP/eu"]
  environments      = ["shop/eu/test/one"]
}
resource "tokenward_token" "copy" {
  name_prefix     = "copy-"
  role            = "VIEWER"
  generate        = true
  rotate_triggers = { a = "b" }
}
resource "tokenward_policy_token" "it" {
  name              = "reader"
  role              = %[1]q
  policy            = "allow if true"
  secret_wo         = %[4]q
  secret_wo_version = 7
  overlap           = "24h"
  end_when_silent   = "1h"
  expires_in        = "24h"
  on_expired        = "keep"
}
`, role.ID, oneRoute, made(), madeFor("twp_")))
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	for address, names := range ways {
		for at, name := range names {
			if at > 0 {
				c.run("state", "rm", address)
			}
			c.run("import", "-input=false", address, name)
		}
	}
	way.take()
	c.run("apply", "-auto-approve", "-input=false")
	for _, asked := range way.take() {
		if !strings.HasPrefix(asked, "GET ") && !strings.Contains(asked, "dry_run=true") {
			t.Errorf("it asked for %s", asked)
		}
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	// Nobody has said from where: of one that was replaced another word would be told.
	for text, told := range map[string]string{secret: "network_denied", generated.Text: "valid"} {
		if code := verify(t, s.world, text); code != told {
			t.Errorf("the secret of one that was to be %s is %s", told, code)
		}
	}
	c.write("resource \"tokenward_project\" \"other\" {\n  name = \"other\"\n}\n")
	if said, err := c.command("import", "-input=false", "-no-color", "tokenward_project.other", "Other/shop/eu").CombinedOutput(); err == nil || !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(string(said), "│", "")), " "), "manages the organization `Acme`") {
		t.Errorf("of another organization: %s", said)
	}
	s.healthy()
}

// A hundred objects of a kind are read by one question.
func TestAPlanListsEachKindOnce(t *testing.T) {
	s := newServer(t)
	way := counting(t, s.world)
	c := newCore(t, s.world, `
resource "tokenward_project" "it" {
  name = "many"
}
resource "tokenward_variable" "it" {
  count      = 12
  project_id = tokenward_project.it.id
  key        = "KEY_${count.index}"
  value      = "one"
}
resource "tokenward_cluster" "it" {
  count          = 12
  name           = "many-${count.index}"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_member" "it" {
  count = 12
  email = "many-${count.index}@acme.example"
  role  = "viewer"
}
resource "tokenward_token" "it" {
  count     = 30
  name      = "many-${count.index}"
  role      = "viewer"
  generate  = true
  owner     = "none"
  successor = "owner@acme.example"
  projects  = [tokenward_project.it.name]
}
`)
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	c.run("apply", "-auto-approve", "-input=false")
	way.take()
	c.run("plan", "-detailed-exitcode", "-input=false")
	times := map[string]int{}
	for _, asked := range way.take() {
		times[asked]++
		if times[asked] > 1 {
			t.Errorf("asked again: %s", asked)
		}
	}
	if len(times) > 20 {
		t.Errorf("%d questions: %v", len(times), times)
	}
	s.healthy()
}

// However many data sources ask: of each kind there is one list.
func TestDataSourcesListEachKindOnce(t *testing.T) {
	s := newServer(t)
	way := counting(t, s.world)
	c := newCore(t, s.world, `
resource "tokenward_project" "it" {
  count = 3
  name  = "listed-${count.index}"
}
resource "tokenward_cluster" "it" {
  count          = 3
  name           = "listed-${count.index}"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_token" "it" {
  count    = 3
  name     = "listed-${count.index}"
  role     = "viewer"
  generate = true
}
data "tokenward_project" "it" {
  count = 12
  name  = tokenward_project.it[count.index % 3].name
}
data "tokenward_cluster" "it" {
  count = 12
  name  = tokenward_cluster.it[count.index % 3].name
}
data "tokenward_token" "it" {
  count = 12
  name  = tokenward_token.it[count.index % 3].name
}
data "tokenward_role" "it" {
  count = 12
  name  = "viewer"
}
data "tokenward_member" "it" {
  count = 12
  email = "owner@acme.example"
}
`)
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	c.run("apply", "-auto-approve", "-input=false")
	way.take()
	c.run("plan", "-detailed-exitcode", "-input=false")
	times, lists := map[string]int{}, 0
	for _, asked := range way.take() {
		if times[asked]++; times[asked] > 1 {
			t.Errorf("asked again: %s", asked)
		}
		if strings.HasSuffix(asked, "/apiToken?state=kept") {
			lists++
		}
	}
	if lists != 1 {
		t.Errorf("the tokens were listed %d times: %v", lists, times)
	}
	s.healthy()
}

// A life counts from the apply that says it, changes it, or rotates; also where nothing was said of an end before.
func TestALifeCountsFromTheApplyThatSaysIt(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := func(more string) string {
		return tokenConfig(it, "name = \"tf-life\"\nrole = \"viewer\"\ngenerate = true\n"+more)
	}
	var last time.Time
	ends := func(in time.Duration) resource.TestCheckFunc {
		return func(state *terraform.State) error {
			now, err := of.Token(t.Context(), attribute(state, token, "id"))
			if err != nil || now.ExpiresAt == nil || time.Until(now.ExpiresAt.Add(-in)).Abs() > time.Minute {
				return fmt.Errorf("it ends at %v, %v", now.ExpiresAt, err)
			}
			if now.ExpiresAt.Equal(last) {
				return fmt.Errorf("it still ends at %v", last)
			}
			last = *now.ExpiresAt
			return nil
		}
	}
	rest := func() { time.Sleep(1100 * time.Millisecond) }
	run(t,
		resource.TestStep{Config: config("")},
		resource.TestStep{Config: config("expires_in = \"24h\""), Check: ends(24 * time.Hour)},
		resource.TestStep{PreConfig: rest, Config: config("expires_in = \"24h\"\nrotate_triggers = { a = \"b\" }\noverlap = \"48h\""), Check: ends(24 * time.Hour)},
		resource.TestStep{Config: config("expires_in = \"48h\"\nrotate_triggers = { a = \"b\" }"), Check: ends(48 * time.Hour)},
		// The same length in other words is no other one.
		resource.TestStep{PreConfig: rest, Config: config("expires_in = \"2d\"\nrotate_triggers = { a = \"b\" }"), Check: func(state *terraform.State) error {
			now, err := of.Token(t.Context(), attribute(state, token, "id"))
			if err != nil || now.ExpiresAt == nil || !now.ExpiresAt.Equal(last) {
				return fmt.Errorf("it ends at %v, not at %v: %v", now.ExpiresAt, last, err)
			}
			return nil
		}},
		resource.TestStep{Config: config("expires_at = \"2099-01-01T00:00:00Z\"\nrotate_triggers = { a = \"b\" }")},
		resource.TestStep{Config: config("expires_in = \"12h\"\nrotate_triggers = { a = \"b\" }"), Check: ends(12 * time.Hour)},
	)
}
