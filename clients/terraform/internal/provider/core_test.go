package provider

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// core is a real core with the provider as a process of its own, in a folder of its own.
type core struct {
	t      testing.TB
	folder string
	env    []string
}

func newCore(t testing.TB, it world, config string) core {
	t.Helper()
	folder := t.TempDir()
	plugins := filepath.Join(folder, "plugins")
	must(t, os.MkdirAll(plugins, 0o755))
	build := exec.Command("go", "build", "-o", filepath.Join(plugins, "terraform-provider-tokenward"), "github.com/tokenward/tokenward/clients/terraform")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	settings := filepath.Join(folder, "rc")
	must(t, os.WriteFile(settings, fmt.Appendf(nil, "provider_installation {\n dev_overrides {\n  \"tokenward/tokenward\" = %q\n }\n direct {}\n}\n", plugins), 0o600))
	env := append(os.Environ(), "TF_CLI_CONFIG_FILE="+settings, "TF_LOG=TRACE", "TF_LOG_PATH="+filepath.Join(folder, "trace"), "TF_IN_AUTOMATION=1",
		"TOKENWARD_URL="+it.URL, "TOKENWARD_TOKEN="+it.Admin)
	c := core{t, folder, env}
	c.write(config)
	return c
}

// write puts another configuration in the place of the one before.
func (c core) write(config string) {
	c.t.Helper()
	must(c.t, os.WriteFile(filepath.Join(c.folder, "main.tf"), []byte(source+config), 0o600))
}

const source = "terraform {\n required_providers {\n  tokenward = {\n   source = \"tokenward/tokenward\"\n  }\n }\n}\n"

func (c core) command(arguments ...string) *exec.Cmd {
	command := exec.Command(os.Getenv("TF_ACC_TERRAFORM_PATH"), arguments...)
	command.Dir, command.Env = c.folder, c.env
	return command
}

func (c core) run(arguments ...string) string {
	c.t.Helper()
	said, err := c.command(arguments...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %v\n%s", arguments, err, said)
	}
	return string(said)
}

// generated are the secrets of all tokens of the state.
func (c core) generated() []string {
	c.t.Helper()
	var state struct {
		Resources []struct {
			Instances []struct {
				Attributes struct {
					Token string `json:"token"`
				} `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	must(c.t, json.Unmarshal([]byte(c.run("state", "pull")), &state))
	var all []string
	for _, resource := range state.Resources {
		for _, instance := range resource.Instances {
			if instance.Attributes.Token != "" {
				all = append(all, instance.Attributes.Token)
			}
		}
	}
	return all
}

// ids are the texts of all objects of the state, by their addresses.
func (c core) ids() map[string]map[string]string {
	c.t.Helper()
	var state struct {
		Resources []struct {
			Type, Name string
			Instances  []struct{ Attributes map[string]any }
		}
	}
	must(c.t, json.Unmarshal([]byte(c.run("state", "pull")), &state))
	all := map[string]map[string]string{}
	for _, resource := range state.Resources {
		for _, instance := range resource.Instances {
			texts := map[string]string{}
			for name, value := range instance.Attributes {
				if text, ok := value.(string); ok {
					texts[name] = text
				}
			}
			all[resource.Type+"."+resource.Name] = texts
		}
	}
	return all
}

// files are all that a run has left behind, saved plans unpacked.
func (c core) files() map[string][]byte {
	c.t.Helper()
	all := map[string][]byte{}
	must(c.t, filepath.Walk(c.folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || strings.Contains(path, "plugins") || strings.HasSuffix(path, ".tf") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all[path] = content
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			// What is no archive has been read already.
			return nil
		}
		for _, file := range archive.File {
			inside, err := file.Open()
			if err != nil {
				return err
			}
			content, err := io.ReadAll(inside)
			inside.Close()
			if err != nil {
				return err
			}
			all[path+"/"+file.Name] = content
		}
		return nil
	}))
	return all
}

var anyToken = regexp.MustCompile(`tw[dps]_[0-9A-Za-z]{38}`)

func TestNoSecretIsInTheStateThePlanOrTheTrace(t *testing.T) {
	it := theWorld(t)
	secret, policySecret := made(), madeFor("twp_")
	c := newCore(t, it, fmt.Sprintf(`
variable "secret" {
  ephemeral = true
  type      = string
}
resource "tokenward_token" "written" {
  name              = "tf-core-written"
  role              = "viewer"
  secret_wo         = var.secret
  secret_wo_version = 1
}
resource "tokenward_policy_token" "written" {
  name              = "tf-core-written"
  role              = "viewer"
  policy            = "allow if true"
  secret_wo         = var.policy_secret
  secret_wo_version = 1
}
variable "policy_secret" {
  ephemeral = true
  type      = string
}
variable "own" {
  ephemeral = true
  type      = string
}
provider "tokenward" {
  token = var.own
}
resource "tokenward_policy_token" "generated" {
  name     = "tf-core-generated"
  role     = "viewer"
  policy   = "allow if true"
  generate = true
}
resource "tokenward_token" "digest" {
  name   = "tf-core-digest"
  role   = "viewer"
  digest = %q
}
resource "tokenward_project" "it" {
  name = "tf-core"
}
resource "tokenward_member" "it" {
  email = "tf-core@acme.example"
  role  = "viewer"
}
resource "tokenward_variable" "it" {
  project_id        = tokenward_project.it.id
  key               = "TF_CORE"
  secret_wo         = var.secret
  secret_wo_version = 1
}
resource "tokenward_token" "generated" {
  name     = "tf-core-generated"
  role     = "viewer"
  generate = true
}
ephemeral "tokenward_token" "run" {
  role = "viewer"
}
`, digestOf(made())))
	c.env = append(c.env, "TF_VAR_secret="+secret, "TF_VAR_policy_secret="+policySecret, "TOKENWARD_TOKEN=", "TF_VAR_own="+it.Admin)
	c.run("plan", "-out=plan", "-input=false")
	c.run("apply", "-input=false", "plan")
	if code := verify(t, it, secret); code != "valid" {
		t.Errorf("the secret is %s", code)
	}
	link := c.ids()["tokenward_member.it"]["invitation_link"]
	generated := c.generated()
	if len(generated) != 2 {
		t.Errorf("there are %d", len(generated))
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	files := c.files()
	found := 0
	for path, content := range files {
		for what, text := range map[string]string{"the secret": secret, "the secret of a policy token": policySecret, "the provider's token": it.Admin} {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s stands in %s", what, path)
			}
		}
		if bytes.Contains(content, []byte(link)) && !strings.Contains(path, "terraform.tfstate") && !strings.Contains(path, "/plan/") {
			t.Errorf("the link of an invitation stands in %s", path)
		}
		// Whoever's it is: of an ephemeral token only the server knows the text.
		for _, text := range anyToken.FindAllString(string(content), -1) {
			if !slices.Contains(generated, text) || !strings.Contains(path, "terraform.tfstate") && !strings.Contains(path, "/plan/") {
				t.Errorf("a token stands in %s", path)
			}
		}
		if strings.HasSuffix(path, "trace") || strings.Contains(path, "terraform.tfstate") || strings.Contains(path, "/plan/") {
			found++
		}
	}
	if found < 4 {
		t.Errorf("only %d files were looked at: %v", found, files)
	}
	if code := verify(t, it, secret); code != "revoked" {
		t.Errorf("after the end the secret is %s", code)
	}
}
