package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// Each is found by its name as by its id, and tells the same.
func TestDataSourcesFindByNameAndByID(t *testing.T) {
	it := theWorld(t)
	checks := []resource.TestCheckFunc{}
	config := `
resource "tokenward_project" "it" {
  name        = "tf-found"
  description = "as written"
}
resource "tokenward_cluster" "it" {
  name           = "tf-found"
  description    = "as written"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.it.id
  cluster_id = tokenward_cluster.it.id
  name       = "test"
  mode       = "STAGING"
}
resource "tokenward_role" "it" {
  name        = "tf-found"
  description = "as written"
}
resource "tokenward_token" "it" {
  name        = "tf-found"
  description = "as written"
  role        = "viewer"
  generate    = true
  not_before  = "2020-01-01T00:00:00Z"
  networks    = ["127.0.0.1 here"]
  rate_limit  = { requests = 5, per = "second" }
  quota       = { requests = 10, refill = "month" }
}
`
	for kind, told := range map[string][]string{
		"project":     {"description"},
		"cluster":     {"description", "region", "cloud_provider"},
		"environment": {"cluster_id", "mode"},
		"role":        {"description"},
		"token":       {"description", "role_id", "not_before", "networks.#", "networks.0", "rate_limit.burst", "quota.refill", "created_at", "creator_id", "state"},
	} {
		in := ""
		if kind == "environment" {
			// By its name, too.
			in = "  project_id = tokenward_project.it.name\n"
		}
		for _, by := range []string{"name", "id"} {
			config += "data \"tokenward_" + kind + "\" \"by_" + by + "\" {\n  " + by + " = tokenward_" + kind + ".it." + by + "\n" + in + "}\n"
		}
		one, other := "data.tokenward_"+kind+".by_name", "data.tokenward_"+kind+".by_id"
		checks = append(checks, resource.TestCheckResourceAttrPair(one, "id", "tokenward_"+kind+".it", "id"), resource.TestCheckResourceAttrPair(other, "name", "tokenward_"+kind+".it", "name"))
		for _, name := range told {
			checks = append(checks, resource.TestCheckResourceAttrSet(one, name), resource.TestCheckResourceAttrPair(one, name, other, name))
		}
	}
	checks = append(checks, resource.TestCheckResourceAttr("data.tokenward_token.by_id", "networks.0", "127.0.0.1 here"), resource.TestCheckResourceAttr("data.tokenward_token.by_id", "rate_limit.burst", "5"))
	run(t, resource.TestStep{Config: with(it, it.Admin, config), Check: resource.ComposeTestCheckFunc(checks...)})
}

// What is no id is sent to nobody: it may be the text of a token, and would stand in the address of a request.
func TestTheTextOfATokenIsNoIDAndIsNotSent(t *testing.T) {
	it := theWorld(t)
	way, secret := counting(t, it), made()
	c := newCore(t, it, "data \"tokenward_decision\" \"it\" {\n  token_id   = \""+secret+"\"\n  permission = \"invoices:read\"\n}\n")
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	out, err := c.command("plan", "-input=false", "-no-color").CombinedOutput()
	said := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", "")), " ")
	if err == nil || !strings.Contains(said, "never by the text of a token") {
		t.Errorf("it says: %s", said)
	}
	for _, asked := range way.take() {
		if strings.Contains(asked, secret) || strings.Contains(asked, "decide") {
			t.Errorf("it asked for %s", asked)
		}
	}
}

// Of policy tokens and projects, too, many are read by one list.
func TestManyPolicyTokensAndProjectsAreReadByOneList(t *testing.T) {
	s := newServer(t)
	way := counting(t, s.world)
	c := newCore(t, s.world, `
resource "tokenward_project" "it" {
  count = 15
  name  = "many-${count.index}"
}
resource "tokenward_policy_token" "it" {
  count    = 15
  name     = "many-${count.index}"
  role     = "viewer"
  policy   = "allow if true"
  generate = true
}
`)
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	c.run("apply", "-auto-approve", "-input=false")
	way.take()
	c.run("plan", "-detailed-exitcode", "-input=false")
	for _, kind := range []string{"/policyApiToken", "/project"} {
		lists, ones := 0, 0
		for _, asked := range way.take() {
			path, _, _ := strings.Cut(strings.TrimPrefix(asked, "GET "), "?")
			switch {
			case strings.HasSuffix(path, kind):
				lists++
			case strings.Contains(path, kind+"/"):
				ones++
			}
		}
		if lists != 1 || ones >= 15 {
			t.Errorf("%s: %d lists, and %d by themselves", kind, lists, ones)
		}
		c.run("plan", "-detailed-exitcode", "-input=false")
	}
	s.healthy()
}
