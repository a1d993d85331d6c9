package provider

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// world is what clients/testing/world.py made ready: a real server, and tokens for it.
type world struct {
	URL          string            `json:"url"`
	Organization string            `json:"organization"`
	Admin        string            `json:"admin"`
	Tokens       map[string]string `json:"tokens"`
	Binary       string            `json:"binary"`
}

// Without this variable the framework skips all of them, and nothing would be known.
func TestMain(m *testing.M) {
	if os.Getenv(isStandIn) != "" {
		serveStandIn()
		return
	}
	if os.Getenv("TF_ACC") == "" {
		fmt.Fprintln(os.Stderr, "run this by scripts/clients, which sets TF_ACC")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func theWorld(t testing.TB) world {
	t.Helper()
	content, err := os.ReadFile(os.Getenv("TOKENWARD_WORLD"))
	if err != nil {
		t.Fatal("run this by scripts/clients: ", err)
	}
	var it world
	must(t, json.Unmarshal(content, &it))
	return it
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var factories = map[string]func() (tfprotov6.ProviderServer, error){
	"tokenward": providerserver.NewProtocol6WithError(New("test")()),
}

// with is a configuration with the provider of the world.
func with(it world, token, text string) string {
	return fmt.Sprintf("provider \"tokenward\" {\n  url   = %q\n  token = %q\n}\n%s", it.URL, token, text)
}

// organization is for what a person would do by hand meanwhile.
func organization(t testing.TB, it world) *api.Of {
	t.Helper()
	client, err := api.New(api.Config{URL: it.URL, Token: it.Admin, Agent: "test"})
	must(t, err)
	of, err := client.Organization(context.Background(), "")
	must(t, err)
	return of
}

func run(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps})
}

// verify asks the server whether a token is accepted.
func verify(t testing.TB, it world, token string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, it.URL+"/verify", strings.NewReader(fmt.Sprintf("{\"token\":%q}", token)))
	must(t, err)
	request.Header.Set("Authorization", "Token "+it.Admin)
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	defer answer.Body.Close()
	var body struct{ Code string }
	must(t, json.NewDecoder(answer.Body).Decode(&body))
	return body.Code
}

// lives is what is said of a token that is accepted. Of a policy token nobody has said which request it is about.
func lives(secret string) string {
	if strings.HasPrefix(secret, "twp_") {
		return "policy_denied"
	}
	return "valid"
}

// attribute answers a text of the state.
func attribute(state *terraform.State, resource, name string) string {
	return state.RootModule().Resources[resource].Primary.Attributes[name]
}

func TestASettingThatIsMissingOrWrongIsToldAndNothingIsAsked(t *testing.T) {
	it := theWorld(t)
	const data = "\ndata \"tokenward_roles\" \"all\" {}\n"
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><title>Welcome</title>"))
	}))
	defer page.Close()
	secure := httptest.NewTLSServer(page.Config.Handler)
	defer secure.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for name, step := range map[string]struct{ config, told string }{
		"no address":              {"provider \"tokenward\" {\n token = \"x\"\n}" + data, "has no `url`"},
		"no token":                {"provider \"tokenward\" {\n url = \"http://127.0.0.1:9\"\n}" + data, "has no `token`"},
		"another scheme":          {"provider \"tokenward\" {\n url = \"ftp://x\"\n token = \"x\"\n}" + data, "begin with http"},
		"a password":              {"provider \"tokenward\" {\n url = \"https://u:p@x\"\n token = \"x\"\n}" + data, "no user name"},
		"nobody there":            {"provider \"tokenward\" {\n url = \"http://127.0.0.1:9\"\n token = \"x\"\n}" + data, "cannot be reached"},
		"a page":                  {"provider \"tokenward\" {\n url = \"" + page.URL + "\"\n token = \"x\"\n}" + data, "no\\s+Tokenward\\s+server"},
		"a page with 404":         {"provider \"tokenward\" {\n url = \"" + missing.URL + "\"\n token = \"x\"\n}" + data, "no\\s+Tokenward\\s+server"},
		"http to https":           {"provider \"tokenward\" {\n url = \"" + strings.Replace(secure.URL, "https", "http", 1) + "\"\n token = \"x\"\n}" + data, "no\\s+Tokenward\\s+server"},
		"https to http":           {"provider \"tokenward\" {\n url = \"" + strings.Replace(it.URL, "http", "https", 1) + "\"\n token = \"x\"\n}" + data, "cannot\\s+be\\s+reached"},
		"another authority":       {"provider \"tokenward\" {\n url = \"" + secure.URL + "\"\n token = \"x\"\n}" + data, "certificate"},
		"an expired token":        {with(it, it.Tokens["expired"], data), "expired"},
		"a wrong base path":       {"provider \"tokenward\" {\n url = \"" + it.URL + "/below\"\n token = \"" + it.Admin + "\"\n}" + data, "nothing at"},
		"a revoked token":         {with(it, it.Tokens["revoked"], data), "revoked"},
		"no certificate":          {"provider \"tokenward\" {\n url = \"" + secure.URL + "\"\n token = \"x\"\n ca_certificate = \"x\"\n}" + data, "no\\s+PEM\\s+certificate"},
		"a file's name":           {"provider \"tokenward\" {\n url = \"" + secure.URL + "\"\n token = \"x\"\n ca_certificate = \"authority.pem\"\n}" + data, "file\\("},
		"a key for a certificate": {"provider \"tokenward\" {\n url = \"" + secure.URL + "\"\n token = \"x\"\n ca_certificate = \"-----BEGIN PRIVATE KEY-----\\nMII=\\n-----END PRIVATE KEY-----\\n\"\n}" + data, "beside\\s+certificates"},
		"a token with a line":     {with(it, it.Admin+"\n", data), "line\\s+break"},
		"an address later":        {"resource \"terraform_data\" \"it\" {\n input = \"" + it.URL + "\"\n}\nprovider \"tokenward\" {\n url = terraform_data.it.output\n token = \"x\"\n}" + data, "not\\s+known\\s+yet"},
		"an authority later":      {"resource \"terraform_data\" \"it\" {\n input = \"x\"\n}\nprovider \"tokenward\" {\n url = \"" + it.URL + "\"\n token = \"" + it.Admin + "\"\n ca_certificate = terraform_data.it.output\n}" + data, "ca_certificate.\\s+is\\s+not\\s+known\\s+yet"},
		"another organization":    {"provider \"tokenward\" {\n url = \"" + it.URL + "\"\n token = \"" + it.Admin + "\"\n organization = \"Other\"\n}" + data, "no organization"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, resource.TestStep{Config: step.config, ExpectError: regexp.MustCompile(step.told)})
		})
	}
	// Behind TLS with an authority of one's own, and with the organization by its id.
	at, err := url.Parse(it.URL)
	must(t, err)
	private := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(at))
	defer private.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private.Certificate().Raw}))
	run(t, resource.TestStep{Config: fmt.Sprintf("provider \"tokenward\" {\n url = %q\n token = %q\n organization = %q\n ca_certificate = %q\n}%s", private.URL, it.Admin, it.Organization, authority, data),
		Check: resource.TestCheckResourceAttrSet("data.tokenward_roles.all", "ids.admin")})
	// A slash at the end is no other server.
	run(t, resource.TestStep{Config: strings.Replace(with(it, it.Admin, data), it.URL, it.URL+"/", 1),
		Check: resource.TestCheckResourceAttrSet("data.tokenward_roles.all", "ids.admin")})
}

// As Go reads it: HTTPS_PROXY in the same way, and NO_PROXY for what is near.
func TestTheProxyOfTheEnvironmentIsAsked(t *testing.T) {
	it := theWorld(t)
	at, err := url.Parse(it.URL)
	must(t, err)
	server := httputil.NewSingleHostReverseProxy(at)
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked <- request.URL.Host
		server.ServeHTTP(w, request)
	}))
	defer proxy.Close()
	c := newCore(t, it, "data \"tokenward_roles\" \"all\" {}\n")
	c.env = append(c.env, "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "TOKENWARD_URL=http://tokens.acme.invalid")
	c.run("apply", "-auto-approve", "-input=false")
	if len(asked) == 0 {
		t.Fatal("nobody asked it")
	}
	if host := <-asked; host != "tokens.acme.invalid" {
		t.Errorf("it was asked about %s", host)
	}
}

// By HTTPS the proxy is asked for a way alone: what goes along it is between the provider and the server.
func TestAProxyIsAskedForAWayToAServerOfHTTPS(t *testing.T) {
	it := theWorld(t)
	at, err := url.Parse(it.URL)
	must(t, err)
	// Its certificate is for example.com.
	secure := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(at))
	defer secure.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked <- request.Method + " " + request.Host
		server, err := net.Dial("tcp", secure.Listener.Addr().String())
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		defer server.Close()
		w.WriteHeader(http.StatusOK)
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		defer client.Close()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
	}))
	defer proxy.Close()
	c := newCore(t, it, fmt.Sprintf("provider \"tokenward\" {\n  ca_certificate = %q\n}\ndata \"tokenward_roles\" \"all\" {}\n", authority))
	plain := append(slices.Clone(c.env), "TOKENWARD_URL=https://example.com")
	c.env = append(slices.Clone(plain), "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL)
	c.run("apply", "-auto-approve", "-input=false")
	if len(asked) == 0 {
		t.Fatal("nobody asked it")
	}
	if way := <-asked; way != "CONNECT example.com:443" {
		t.Errorf("it was asked for %s", way)
	}
	// What is no address of one is told, without its password.
	const wrong = "http://user:hunter2%zz@proxy.example.com:3128"
	c.env = append(slices.Clone(plain), "HTTPS_PROXY="+wrong, "https_proxy="+wrong)
	out, err := c.command("plan", "-input=false", "-no-color").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "HTTPS_PROXY") || strings.Contains(string(out), "hunter2") {
		t.Errorf("it says: %s", out)
	}
}
