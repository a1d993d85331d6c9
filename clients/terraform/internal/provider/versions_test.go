package provider

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// edited is one of everything that is changed in place, each with words that a change gives it, and a member with a role.
func edited(words, role string) string {
	return strings.NewReplacer("WORDS", words, "ROLE", role).Replace(`
resource "tokenward_organization" "it" {
  name        = "Acme"
  description = "WORDS"
}
resource "tokenward_project" "stays" {
  name = "stays"
}
resource "tokenward_cluster" "stays" {
  name           = "stays"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_project" "it" {
  name        = "versions"
  description = "WORDS"
}
resource "tokenward_cluster" "it" {
  name           = "versions"
  description    = "WORDS"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.stays.id
  cluster_id = tokenward_cluster.stays.id
  name       = "WORDS"
}
resource "tokenward_variable" "plain" {
  project_id = tokenward_project.stays.id
  key        = "PLAIN"
  value      = "WORDS"
}
resource "tokenward_variable" "hidden" {
  project_id        = tokenward_project.stays.id
  key               = "HIDDEN"
  description       = "WORDS"
  secret_wo         = "nobody-knows"
  secret_wo_version = 1
}
resource "tokenward_role" "it" {
  name        = "versions"
  description = "WORDS"
}
resource "tokenward_member" "it" {
  email = "versions@acme.example"
  role  = "ROLE"
}
resource "tokenward_api" "it" {
  name     = "versions"
  document = "routes:\n- {method: GET, path: /WORDS, permissions: [bills:read]}\n"
}
resource "tokenward_token" "it" {
  name        = "versions"
  description = "WORDS"
  role        = "viewer"
  generate    = true
}
resource "tokenward_policy_token" "it" {
  name        = "versions"
  description = "WORDS"
  role        = "viewer"
  policy      = "allow if true"
  generate    = true
}
resource "tokenward_token" "turns" {
  name            = "versions-turns"
  role            = "viewer"
  generate        = true
  rotate_triggers = { words = "WORDS" }
}
resource "tokenward_policy_token" "turns" {
  name            = "versions-turns"
  role            = "viewer"
  policy          = "allow if true"
  generate        = true
  rotate_triggers = { words = "WORDS" }
}
`)
}

// So many of it are changed, and so many rotated.
const kindsOfEdits, kindsOfRotations = 11, 2

// An update says which version it changes, of everything.
func TestAnUpdateNamesTheVersionThatItChanges(t *testing.T) {
	s := newServer(t)
	way := counting(t, s.world)
	c := newCore(t, s.world, edited("one", "viewer"))
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	c.run("apply", "-auto-approve", "-input=false")
	accept(t, s.world, c.ids()["tokenward_member.it"]["invitation_link"])
	way.take()
	c.write(edited("two", "devops"))
	c.run("apply", "-auto-approve", "-input=false")
	updates := 0
	for _, asked := range way.take() {
		if strings.HasPrefix(asked, "GET ") || strings.Contains(asked, "dry_run") {
			continue
		}
		if updates++; !strings.HasSuffix(asked, " of a version") {
			t.Errorf("no version is named by %s", asked)
		}
	}
	if updates != kindsOfEdits+kindsOfRotations {
		t.Errorf("%d were updated", updates)
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	s.healthy()
}

// outrun is a server at which somebody else makes each edit of a version a moment earlier, in other words.
func outrun(t *testing.T, it world, words *strings.Replacer) string {
	t.Helper()
	at, err := url.Parse(it.URL)
	must(t, err)
	server := httputil.NewSingleHostReverseProxy(at)
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("If-Match") != "" {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				t.Errorf("%s: %v", request.URL, err)
				return
			}
			first, err := http.NewRequest(request.Method, it.URL+request.URL.RequestURI(), strings.NewReader(words.Replace(string(body))))
			if err != nil {
				t.Errorf("%s: %v", request.URL, err)
				return
			}
			first.Header = request.Header.Clone()
			first.Header.Del("If-Match")
			first.Header.Del("Idempotency-Key")
			answer, err := http.DefaultClient.Do(first)
			if err != nil {
				t.Errorf("%s: %v", request.URL, err)
				return
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("%s %s is answered %s", request.Method, request.URL, answer.Status)
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
		}
		server.ServeHTTP(w, request)
	}))
	t.Cleanup(way.Close)
	return way.URL
}

// words are those that each of `edited` has at the server.
func (s *ownServer) words(ids map[string]map[string]string) map[string]string {
	s.t.Helper()
	of, ctx := organization(s.t, s.world), s.t.Context()
	all := map[string]string{}
	itself, err := of.Itself(ctx)
	must(s.t, err)
	all["organization"] = itself.Description
	project, err := of.Project(ctx, ids["tokenward_project.it"]["id"])
	must(s.t, err)
	all["project"] = project.Description
	cluster, err := findCluster(ctx, of, "versions")
	must(s.t, err)
	all["cluster"] = cluster.Description
	environment, err := of.Environment(ctx, ids["tokenward_environment.it"]["id"])
	must(s.t, err)
	all["environment"] = environment.Name
	place := variableModel{ProjectID: optional(ids["tokenward_project.stays"]["id"])}.place()
	for _, secret := range []bool{false, true} {
		variables, err := of.Variables(ctx, place, secret)
		must(s.t, err)
		for _, it := range variables {
			switch it.Key {
			case "PLAIN":
				all["variable"] = *it.Value
			case "HIDDEN":
				all["secret"] = it.Description
			}
		}
	}
	role, err := of.CustomRole(ctx, ids["tokenward_role.it"]["id"])
	must(s.t, err)
	all["role"] = role.Description
	members, _, err := of.Members(ctx)
	must(s.t, err)
	for _, it := range members {
		if it.Email == "versions@acme.example" {
			all["member"] = it.RoleName
		}
	}
	routes, err := of.API(ctx, "versions")
	must(s.t, err)
	for _, it := range routes.Routes {
		all["API"] = strings.TrimPrefix(it.Path, "/")
	}
	token, err := of.Token(ctx, ids["tokenward_token.it"]["id"])
	must(s.t, err)
	all["token"] = token.Description
	bounded, err := of.PolicyToken(ctx, ids["tokenward_policy_token.it"]["id"])
	must(s.t, err)
	all["policy token"] = bounded.Description
	return all
}

// Of everything: where somebody else was faster nothing is overwritten, and it is said what to do.
func TestWhatWasChangedMeanwhileIsNotOverwritten(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	wanted, err := roleID(ctx, of, "devops")
	must(t, err)
	other, err := roleID(ctx, of, "billing")
	must(t, err)
	c := newCore(t, s.world, edited("one", "viewer"))
	c.run("apply", "-auto-approve", "-input=false")
	accept(t, s.world, c.ids()["tokenward_member.it"]["invitation_link"])
	c.write(edited("two", "devops"))
	plain := c.env
	c.env = append(slices.Clone(plain), "TOKENWARD_URL="+outrun(t, s.world, strings.NewReplacer("two", "three", wanted.ID, other.ID)))
	out, err := c.command("apply", "-auto-approve", "-input=false", "-no-color").CombinedOutput()
	said := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", "")), " ")
	if err == nil {
		t.Errorf("it says: %s", said)
	}
	if times := strings.Count(said, "changed meanwhile, by somebody else, and nothing was overwritten. Plan again"); times != kindsOfEdits+kindsOfRotations {
		t.Errorf("it is said %d times: %s", times, said)
	}
	now := s.words(c.ids())
	for what, words := range now {
		if words != "three" && words != "billing" {
			t.Errorf("the %s is %s", what, words)
		}
	}
	if len(now) != kindsOfEdits {
		t.Errorf("there are %v", now)
	}
	// The next plan knows of it, and its apply is one that somebody wants.
	c.env = plain
	c.run("apply", "-auto-approve", "-input=false")
	for what, words := range s.words(c.ids()) {
		if words != "two" && words != "devops" {
			t.Errorf("at last the %s is %s", what, words)
		}
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	s.healthy()
}

// Also where so many tokens are changed that they are read by one list.
func TestAnUpdateOfOneOfManyTokensNamesItsVersion(t *testing.T) {
	s := newServer(t)
	way := counting(t, s.world)
	config := func(words string) string {
		return "resource \"tokenward_token\" \"it\" {\n  count       = 20\n  name        = \"many-${count.index}\"\n  description = \"" + words + "\"\n  role        = \"viewer\"\n  generate    = true\n}\n"
	}
	c := newCore(t, s.world, config("one"))
	c.env = append(c.env, "TOKENWARD_URL="+way.URL)
	c.run("apply", "-auto-approve", "-input=false")
	way.take()
	c.write(config("two"))
	c.run("apply", "-auto-approve", "-input=false")
	updates := 0
	for _, asked := range way.take() {
		if strings.HasPrefix(asked, "PATCH ") {
			if updates++; !strings.HasSuffix(asked, " of a version") {
				t.Errorf("no version is named by %s", asked)
			}
		}
	}
	if updates != 20 {
		t.Errorf("%d were updated", updates)
	}
	s.healthy()
}
