package provider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ownServer is a server of this test alone, which can be killed and started again at the same address.
type ownServer struct {
	world
	t       testing.TB
	binary  string
	folder  string
	address string
	// What it is started with besides, and the settings of its environment.
	more, settings []string
	running        *exec.Cmd
	mutex          sync.Mutex
	log            bytes.Buffer
}

// plainEnvironment is without the variables of the tests: a server refuses settings that it does not know.
func plainEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(it string) bool { return strings.HasPrefix(it, "TOKENWARD_") })
}

func newServer(t testing.TB) *ownServer {
	t.Helper()
	s := newNode(t)
	s.bootstrap()
	s.start()
	return s
}

// newNode is a server that is not started yet.
func newNode(t testing.TB, more ...string) *ownServer {
	t.Helper()
	s := &ownServer{t: t, binary: theWorld(t).Binary, folder: t.TempDir(), address: freeAddress(t), more: more}
	s.URL = "http://" + s.address
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server said: %s", s.said())
		}
	})
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	place, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, place.Close())
	return place.Addr().String()
}

func (s *ownServer) data() string { return filepath.Join(s.folder, "data") }

// bootstrap makes its organization and the first token.
func (s *ownServer) bootstrap() {
	s.t.Helper()
	bootstrap := exec.Command(s.binary, append([]string{"bootstrap", "--data-dir", s.data(), "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"}, s.more...)...)
	bootstrap.Env = plainEnvironment()
	said, err := bootstrap.Output()
	must(s.t, err)
	var made struct {
		Organization string `json:"organization_id"`
		Token        string `json:"token"`
	}
	must(s.t, json.Unmarshal(said, &made))
	s.Organization, s.Admin = made.Organization, made.Token
}

// Write takes what the server says; its standard error is read while it runs.
func (s *ownServer) Write(part []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.log.Write(part)
}

func (s *ownServer) said() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.log.String()
}

func (s *ownServer) start() {
	s.t.Helper()
	s.running = exec.Command(s.binary, append([]string{"serve", "--data-dir", s.data(), "--listen", s.address}, s.more...)...)
	s.running.Env = append(plainEnvironment(), s.settings...)
	s.running.Stderr = s
	out, err := s.running.StdoutPipe()
	must(s.t, err)
	must(s.t, s.running.Start())
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.HasPrefix(line, "Tokenward listens on ") {
		s.t.Fatalf("the server does not start: %s%s", line, s.said())
	}
}

func (s *ownServer) kill() {
	if s.running != nil {
		_ = s.running.Process.Signal(syscall.SIGKILL)
		_ = s.running.Wait()
		s.running = nil
	}
}

// healthy fails the test where the server has told of an error of its own.
func (s *ownServer) healthy() {
	s.t.Helper()
	for line := range strings.SplitSeq(s.said(), "\n") {
		if strings.Contains(line, "ERROR") || strings.Contains(line, "panicked") {
			s.t.Errorf("the server says: %s", line)
		}
	}
}

// everything is one of each kind that can be made, so that an apply of it passes through all of them.
func everything(prefix string) string {
	return strings.ReplaceAll(`
resource "tokenward_project" "it" {
  name = "PREFIX-project"
}
resource "tokenward_cluster" "it" {
  name           = "PREFIX-cluster"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}
resource "tokenward_environment" "it" {
  project_id = tokenward_project.it.id
  cluster_id = tokenward_cluster.it.id
  name       = "test"
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
  secret_wo         = "tf-everything-hidden"
  secret_wo_version = 1
}
resource "tokenward_role" "it" {
  name        = "PREFIX-role"
  permissions = ["bills:read"]
  projects    = { (tokenward_project.it.id) = { staging = "DEPLOYER" } }
}
resource "tokenward_member" "it" {
  email = "PREFIX@acme.example"
  role  = "viewer"
}
resource "tokenward_api" "it" {
  name     = "PREFIX-api"
  document = "routes:\n- {method: GET, path: /bills, permissions: [bills:read]}\n"
}
resource "tokenward_token" "it" {
  name     = "PREFIX-token"
  role     = tokenward_role.it.id
  generate = true
}
resource "tokenward_token" "later" {
  name       = "PREFIX-later"
  role       = tokenward_role.it.id
  generate   = true
  expires_in = "24h"
  depends_on = [tokenward_token.it]
}
resource "tokenward_policy_token" "it" {
  name     = "PREFIX-policy"
  role     = tokenward_role.it.id
  policy   = "allow if input.request.method == \"GET\""
  generate = true
}
`, "PREFIX", prefix)
}

// names are those of all that this prefix has made, each as often as it is there.
func (s *ownServer) names(prefix string) map[string]int {
	s.t.Helper()
	of, ctx := organization(s.t, s.world), s.t.Context()
	names := map[string]int{}
	note := func(name string) {
		if strings.HasPrefix(name, prefix) {
			names[name]++
		}
	}
	tokens, err := of.Tokens(ctx)
	must(s.t, err)
	for _, it := range tokens {
		note(it.Name)
	}
	policies, err := of.PolicyTokens(ctx)
	must(s.t, err)
	for _, it := range policies {
		note(it.Name)
	}
	projects, err := of.Projects(ctx)
	must(s.t, err)
	for _, it := range projects {
		note(it.Name)
	}
	roles, err := of.Roles(ctx)
	must(s.t, err)
	for _, it := range roles {
		note(it.Name)
	}
	clusters, err := of.Clusters(ctx)
	must(s.t, err)
	for _, it := range clusters {
		note(it.Name)
	}
	apis, err := of.APIs(ctx)
	must(s.t, err)
	for _, it := range apis {
		note(it.Name)
	}
	members, invited, err := of.Members(ctx)
	must(s.t, err)
	for _, it := range append(members, invited...) {
		note(it.Email)
	}
	return names
}

// once fails the test where something is there twice, or not at all.
func (s *ownServer) once(prefix string, kinds int, when string) {
	s.t.Helper()
	names := s.names(prefix)
	for name, times := range names {
		if times != 1 {
			s.t.Errorf("%s: %s is there %d times", when, name, times)
		}
	}
	if len(names) != kinds {
		s.t.Errorf("%s: there are %v", when, names)
	}
}

// Of everything these have a name that begins with the prefix.
const kindsOfEverything = 8

func TestACoreThatIsKilledAtAnyMomentLeavesNothingTwiceAndLosesNothing(t *testing.T) {
	s := newServer(t)
	c := newCore(t, s.world, everything("kill"))
	begun := time.Now()
	c.run("apply", "-auto-approve", "-input=false")
	whole := time.Since(begun)
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	for moment := range 20 {
		apply := c.command("apply", "-auto-approve", "-input=false", "-lock=false", "-parallelism=3")
		must(t, apply.Start())
		time.Sleep(whole * time.Duration(moment+1) / 21)
		_ = apply.Process.Kill()
		_ = apply.Wait()
		// A run that begins in the second of the one before cannot tell them apart.
		time.Sleep(1100 * time.Millisecond)
		c.run("apply", "-auto-approve", "-input=false", "-lock=false")
		s.once("kill", kindsOfEverything, fmt.Sprintf("after the moment %d", moment))
		c.run("plan", "-detailed-exitcode", "-input=false", "-lock=false")
		// What is in the state is what the server accepts: no value was lost.
		for _, secret := range c.generated() {
			if code := verify(t, s.world, secret); code != lives(secret) {
				t.Errorf("after the moment %d a token of the state is %s", moment, code)
			}
		}
		c.run("apply", "-destroy", "-auto-approve", "-input=false", "-lock=false")
	}
	s.healthy()
}

func TestThreeHundredObjectsAreMadeAtAParallelismOfFifty(t *testing.T) {
	s := newServer(t)
	c := newCore(t, s.world, `
resource "tokenward_role" "it" {
  count       = 50
  name        = "many-role-${count.index}"
  permissions = ["bills:read"]
}
resource "tokenward_project" "it" {
  count = 50
  name  = "many-project-${count.index}"
}
resource "tokenward_variable" "it" {
  count      = 50
  project_id = tokenward_project.it[count.index].id
  key        = "KEY"
  value      = "one"
}
resource "tokenward_token" "it" {
  count    = 150
  name     = "many-token-${count.index}"
  role     = tokenward_role.it[count.index % 50].name
  generate = true
}
`)
	c.run("apply", "-auto-approve", "-input=false", "-parallelism=50")
	s.once("many", 250, "at a parallelism of 50")
	c.run("plan", "-detailed-exitcode", "-input=false", "-parallelism=50")
	c.run("apply", "-destroy", "-auto-approve", "-input=false", "-parallelism=50")
	s.once("many", 0, "after the end")
	s.healthy()
}

func TestOfTwoAppliesAtOnceEachNameGoesToOne(t *testing.T) {
	s := newServer(t)
	const config = "resource \"tokenward_token\" \"it\" {\n  count    = 20\n  name     = \"both-${count.index}\"\n  role     = \"viewer\"\n  generate = true\n}\n"
	// Of one state the core lets one in; of two states the server gives each name once.
	one, other := newCore(t, s.world, config), newCore(t, s.world, config)
	for what, cores := range map[string][]core{"`terraform import` it": {one, other}, "state lock": {one, one}} {
		said := make([]string, len(cores))
		var both sync.WaitGroup
		for at, c := range cores {
			both.Go(func() {
				if out, err := c.command("apply", "-auto-approve", "-input=false", "-no-color").CombinedOutput(); err != nil {
					said[at] = strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", "")), " ")
				}
			})
		}
		both.Wait()
		s.once("both", 20, "after both")
		if told := said[0] + said[1]; !strings.Contains(told, what) {
			t.Errorf("nobody was told of %s: %s", what, told)
		}
		for _, c := range cores {
			_ = c.command("apply", "-destroy", "-auto-approve", "-input=false").Run()
		}
	}
	s.healthy()
}

func TestAServerThatIsKilledInMidApplyLosesNothing(t *testing.T) {
	s := newServer(t)
	c := newCore(t, s.world, everything("gone")+"resource \"tokenward_token\" \"more\" {\n  count    = 40\n  name     = \"gone-more-${count.index}\"\n  role     = \"viewer\"\n  generate = true\n}\n")
	apply := c.command("apply", "-auto-approve", "-input=false")
	must(t, apply.Start())
	for deadline := time.Now().Add(time.Minute); len(s.names("gone-more")) < 3 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	s.kill()
	if apply.Wait() == nil {
		t.Fatal("the apply was over before the server was killed")
	}
	if said, err := c.command("plan", "-input=false").CombinedOutput(); err == nil || !strings.Contains(string(said), "cannot be reached") {
		t.Errorf("without a server the plan says: %s", said)
	}
	held := c.run("state", "list")
	s.start()
	time.Sleep(1100 * time.Millisecond)
	c.run("apply", "-auto-approve", "-input=false")
	s.once("gone", kindsOfEverything+40, "after the second apply")
	for line := range strings.SplitSeq(strings.TrimSpace(held), "\n") {
		if !strings.Contains(c.run("state", "list"), line) {
			t.Errorf("%s was in the state and is not", line)
		}
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	s.healthy()
}

func TestATokenThatIsRevokedInMidApplyForgetsNothing(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	role, err := roleID(ctx, of, "admin")
	must(t, err)
	own, err := of.CreateToken(ctx, map[string]any{"name": "terraform", "role_id": role.ID})
	must(t, err)
	c := newCore(t, s.world, "resource \"tokenward_token\" \"it\" {\n  count    = 60\n  name     = \"cut-${count.index}\"\n  role     = \"viewer\"\n  generate = true\n}\n")
	plain := c.env
	c.env = append(append([]string{}, plain...), "TOKENWARD_TOKEN="+own.Text)
	apply := c.command("apply", "-auto-approve", "-input=false", "-parallelism=2", "-no-color")
	var said bytes.Buffer
	apply.Stdout, apply.Stderr = &said, &said
	must(t, apply.Start())
	for deadline := time.Now().Add(time.Minute); len(s.names("cut")) < 5 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	must(t, of.DeleteToken(ctx, own.ID))
	if apply.Wait() == nil {
		t.Fatal("the apply was over before its token was revoked")
	}
	if !strings.Contains(said.String(), "revoked") {
		t.Errorf("it says: %s", said.String())
	}
	made, held := len(s.names("cut")), strings.Count(c.run("state", "list"), "tokenward_token.it[")
	if made != held {
		t.Errorf("%d were made, and %d are in the state", made, held)
	}
	if said, err := c.command("plan", "-input=false").CombinedOutput(); err == nil {
		t.Errorf("with a revoked token it plans: %s", said)
	}
	if now := strings.Count(c.run("state", "list"), "tokenward_token.it["); now != held {
		t.Errorf("%d of %d are still in the state", now, held)
	}
	c.env = plain
	c.run("apply", "-auto-approve", "-input=false")
	s.once("cut", 60, "with another token")
	s.healthy()
}
