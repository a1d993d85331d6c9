package provider

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is the provider of a core that runs.
func (c core) process() int {
	c.t.Helper()
	binary := filepath.Join(c.folder, "plugins", "terraform-provider-tokenward")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all, err := filepath.Glob("/proc/[0-9]*/exe")
		must(c.t, err)
		for _, link := range all {
			if program, err := os.Readlink(link); err == nil && program == binary {
				id, err := strconv.Atoi(strings.Split(link, "/")[2])
				must(c.t, err)
				return id
			}
		}
	}
	c.t.Fatal("there is no provider")
	return 0
}

// Of a core that was killed nothing goes on: its provider knows a token.
func TestAProviderEndsSoonAfterItsCore(t *testing.T) {
	it := theWorld(t)
	held, release := make(chan bool, 10), make(chan struct{})
	way := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		held <- true
		<-release
	}))
	defer way.Close()
	defer close(release)
	c := newCore(t, it, "data \"tokenward_roles\" \"it\" {}\n")
	// Who writes a trace ends as soon as nobody reads it.
	c.env = append(c.env, "TOKENWARD_URL="+way.URL, "TF_LOG=")
	plan := c.command("plan", "-input=false")
	must(t, plan.Start())
	<-held
	id := c.process()
	must(t, plan.Process.Kill())
	_ = plan.Wait()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
	}
	t.Errorf("the provider %d goes on", id)
}

// A provider that crashes while it makes things tells where, all that it was doing included, and no secret; nothing is lost of what was
// in the state.
func TestACrashOfTheProviderTellsNoSecret(t *testing.T) {
	it := theWorld(t)
	secret, policySecret := made(), madeFor("twp_")
	at, err := url.Parse(it.URL)
	must(t, err)
	server := httputil.NewSingleHostReverseProxy(at)
	held := make(chan string, 10)
	release := make(chan struct{})
	var released sync.Once
	defer released.Do(func() { close(release) })
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			held <- request.URL.Path
			<-release
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		server.ServeHTTP(w, request)
	}))
	defer way.Close()
	c := newCore(t, it, fmt.Sprintf(`
variable "secret" {
  ephemeral = true
  type      = string
}
variable "policy_secret" {
  ephemeral = true
  type      = string
}
data "tokenward_project" "it" {
  name = "tf-crash"
}
resource "tokenward_token" "written" {
  name              = "tf-crash-written"
  role              = "viewer"
  secret_wo         = var.secret
  secret_wo_version = 1
}
resource "tokenward_policy_token" "written" {
  name              = "tf-crash-written"
  role              = "viewer"
  policy            = "allow if true"
  secret_wo         = var.policy_secret
  secret_wo_version = 1
}
resource "tokenward_variable" "it" {
  project_id        = data.tokenward_project.it.id
  key               = "TF_CRASH"
  secret_wo         = var.secret
  secret_wo_version = 1
}
resource "tokenward_token" "generated" {
  name     = "tf-crash-generated"
  role     = "viewer"
  generate = true
}
`))
	of := organization(t, it)
	project, err := of.CreateProject(t.Context(), map[string]any{"name": "tf-crash"})
	must(t, err)
	defer func() { must(t, of.DeleteProject(t.Context(), project.ID)) }()
	c.env = append(c.env, "TF_VAR_secret="+secret, "TF_VAR_policy_secret="+policySecret, "TOKENWARD_URL="+way.URL, "GOTRACEBACK=crash")
	apply := c.command("apply", "-auto-approve", "-input=false", "-no-color")
	var said bytes.Buffer
	apply.Stdout, apply.Stderr = &said, &said
	must(t, apply.Start())
	// All four are being made.
	for range 4 {
		<-held
	}
	must(t, syscall.Kill(c.process(), syscall.SIGABRT))
	if apply.Wait() == nil {
		t.Fatal("the apply went through")
	}
	released.Do(func() { close(release) })
	all := c.files()
	all["what the core said"] = said.Bytes()
	traces := 0
	for path, content := range all {
		if bytes.Contains(content, []byte("SIGABRT")) && bytes.Contains(content, []byte("goroutine ")) && bytes.Contains(content, []byte("CreateToken(")) {
			traces++
		}
		for what, text := range map[string]string{"the secret": secret, "the secret of a policy token": policySecret, "the provider's token": it.Admin} {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s stands in %s", what, path)
			}
		}
		if found := anyToken.Find(content); found != nil {
			t.Errorf("a token stands in %s", path)
		}
	}
	if traces == 0 {
		t.Errorf("there is no trace of the crash: %s", said.String())
	}
}
