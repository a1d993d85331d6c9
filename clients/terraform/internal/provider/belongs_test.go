package provider

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// keeps runs what would forget or delete, with settings with which nothing can be known, and fails the test where something of it
// goes through, or leaves the state.
func (c core) keeps(what, told string, settings ...string) {
	c.t.Helper()
	held := c.run("state", "list")
	other := c
	other.env = append(append([]string{}, c.env...), settings...)
	for _, arguments := range [][]string{
		{"plan", "-input=false", "-no-color"},
		{"plan", "-input=false", "-no-color", "-refresh=false", "-destroy"},
		{"apply", "-refresh-only", "-auto-approve", "-input=false", "-no-color"},
		{"apply", "-destroy", "-refresh=false", "-auto-approve", "-input=false", "-no-color"},
	} {
		if what == "half a server" && arguments[0] == "plan" && slices.Contains(arguments, "-refresh=false") {
			// It reads nothing, and forgets nothing.
			continue
		}
		out, err := other.command(arguments...).CombinedOutput()
		if said := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", "")), " "); err == nil || !strings.Contains(said, told) {
			c.t.Errorf("%s: %v (%v) does not say %q: %s", what, arguments, err, told, said)
		}
	}
	if now := c.run("state", "list"); now != held {
		c.t.Errorf("%s: in the state were\n%sand are\n%s", what, held, now)
	}
}

// A token of another organization, or of another server, reads everything there is, and finds nothing.
func TestATokenOfAnotherOrganizationForgetsNothing(t *testing.T) {
	s, other := newServer(t), newServer(t)
	c := newCore(t, s.world, everything("home")+"resource \"tokenward_organization\" \"it\" {\n  name = \"Acme\"\n}\n")
	c.run("apply", "-auto-approve", "-input=false")
	c.keeps("another server", "of another organization", "TOKENWARD_URL="+other.URL, "TOKENWARD_TOKEN="+other.Admin)
	// Also where it has the same name.
	c.keeps("a name of another one", "of another organization", "TOKENWARD_URL="+other.URL, "TOKENWARD_TOKEN="+other.Admin, "TOKENWARD_ORGANIZATION=Acme")
	s.once("home", kindsOfEverything, "after all of it")
	c.run("plan", "-detailed-exitcode", "-input=false")
	// What was imported is of this one from then on, too.
	imported := newCore(t, s.world, "resource \"tokenward_project\" \"it\" {\n  name = \"home-project\"\n}\n")
	imported.run("import", "-input=false", "tokenward_project.it", "home-project")
	imported.keeps("an import", "of another organization", "TOKENWARD_URL="+other.URL, "TOKENWARD_TOKEN="+other.Admin)
	other.once("home", 0, "at the other server")
	s.healthy()
	other.healthy()
}

func TestWhatAnswersInThePlaceOfAServerForgetsNothing(t *testing.T) {
	it := theWorld(t)
	c := newCore(t, it, everything("stay"))
	c.run("apply", "-auto-approve", "-input=false")
	answers := func(status int, text string) string {
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}))
		t.Cleanup(page.Close)
		return page.URL
	}
	const page = "<!doctype html><title>Welcome</title>"
	for what, url := range map[string]string{
		"a page": answers(http.StatusOK, page), "a page with 404": answers(http.StatusNotFound, page), "an empty list": answers(http.StatusOK, `{"results":[]}`),
		"a 404 in JSON": answers(http.StatusNotFound, `{"error":"not found"}`), "a redirect": answers(http.StatusFound, ""),
	} {
		told := "no Tokenward server"
		if what == "an empty list" {
			told = "organization"
		}
		c.keeps(what, told, "TOKENWARD_URL="+url)
	}
	// The list of organizations is a server's, and everything else is a page: as behind a proxy that goes down in mid-run.
	at, err := url.Parse(it.URL)
	must(t, err)
	server := httputil.NewSingleHostReverseProxy(at)
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/organization" || request.URL.Path == "/token/self" {
			server.ServeHTTP(w, request)
			return
		}
		http.NotFound(w, request)
	}))
	defer half.Close()
	c.keeps("half a server", "no Tokenward server", "TOKENWARD_URL="+half.URL)
	for what, told := range map[string]string{"expired": "expired", "revoked": "revoked", "disabled": "switched off", "malformed": "token"} {
		c.keeps("a token that is "+what, told, "TOKENWARD_TOKEN="+it.Tokens[what])
	}
	c.keeps("nobody", "cannot be reached", "TOKENWARD_URL=http://127.0.0.1:9")
	c.run("plan", "-detailed-exitcode", "-input=false")
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
}

// counted is a server whose requests are written down.
type counted struct {
	URL   string
	mutex sync.Mutex
	asked []string
}

func counting(t *testing.T, it world) *counted {
	t.Helper()
	at, err := url.Parse(it.URL)
	must(t, err)
	server := httputil.NewSingleHostReverseProxy(at)
	c := new(counted)
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked := request.Method + " " + request.URL.RequestURI()
		if request.Header.Get("If-Match") != "" {
			asked += " of a version"
		}
		c.mutex.Lock()
		c.asked = append(c.asked, asked)
		c.mutex.Unlock()
		server.ServeHTTP(w, request)
	}))
	t.Cleanup(way.Close)
	c.URL = way.URL
	return c
}

// take answers what was asked since, and begins anew.
func (c *counted) take() []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}
