package provider

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// core is a real core with the provider as a process of its own, in a folder of its own.
type core struct {
	t      *testing.T
	folder string
	env    []string
}

func newCore(t *testing.T, it world, config string) core {
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
	const source = "terraform {\n required_providers {\n  tokenward = {\n   source = \"tokenward/tokenward\"\n  }\n }\n}\n"
	must(c.t, os.WriteFile(filepath.Join(c.folder, "main.tf"), []byte(source+config), 0o600))
}

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

func TestNoSecretIsInTheStateThePlanOrTheTrace(t *testing.T) {
	it := theWorld(t)
	secret := made()
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
resource "tokenward_token" "digest" {
  name   = "tf-core-digest"
  role   = "viewer"
  digest = %q
}
resource "tokenward_project" "it" {
  name = "tf-core"
}
resource "tokenward_variable" "it" {
  project_id        = tokenward_project.it.id
  key               = "TF_CORE"
  secret_wo         = var.secret
  secret_wo_version = 1
}
ephemeral "tokenward_token" "run" {
  role = "viewer"
}
`, digestOf(made())))
	c.env = append(c.env, "TF_VAR_secret="+secret)
	c.run("plan", "-out=plan", "-input=false")
	c.run("apply", "-input=false", "plan")
	if code := verify(t, it, secret); code != "valid" {
		t.Errorf("the secret is %s", code)
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	files := c.files()
	found := 0
	for path, content := range files {
		for what, text := range map[string]string{"the secret": secret, "the provider's token": it.Admin} {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s stands in %s", what, path)
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

// Whatever the moment, an apply that goes on afterwards makes nothing twice and loses nothing.
func TestACoreThatIsKilledLeavesNothingTwice(t *testing.T) {
	it := theWorld(t)
	of := organization(t, it)
	config := ""
	for n := range 6 {
		config += fmt.Sprintf("resource \"tokenward_token\" \"t%d\" {\n  name     = \"tf-kill-%d\"\n  role     = \"viewer\"\n  generate = true\n}\n", n, n)
	}
	c := newCore(t, it, config)
	begun := time.Now()
	c.run("apply", "-auto-approve", "-input=false")
	whole := time.Since(begun)
	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	for moment := range 20 {
		apply := c.command("apply", "-auto-approve", "-input=false", "-parallelism=2", "-lock=false")
		must(t, apply.Start())
		time.Sleep(whole * time.Duration(moment+1) / 22)
		_ = apply.Process.Kill()
		_ = apply.Wait()
		c.run("apply", "-auto-approve", "-input=false", "-lock=false")
		names := map[string]int{}
		all, err := of.Tokens(context.Background())
		must(t, err)
		for _, one := range all {
			if strings.HasPrefix(one.Name, "tf-kill-") {
				names[one.Name]++
			}
		}
		if len(names) != 6 {
			t.Fatalf("after the moment %d there are %v", moment, names)
		}
		c.run("plan", "-detailed-exitcode", "-input=false", "-lock=false")
		c.run("apply", "-destroy", "-auto-approve", "-input=false", "-lock=false")
	}
}
