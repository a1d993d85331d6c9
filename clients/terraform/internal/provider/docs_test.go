package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

const (
	docs     = "../../docs"
	examples = "../../examples"
)

// page is one of the registries' docs: what it is about, and its schema.
type page struct {
	folder, kind, name string
	schema             *tfprotov6.Schema
}

func pages(t *testing.T) []page {
	t.Helper()
	server, err := providerserver.NewProtocol6WithError(New("test")())()
	must(t, err)
	all, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	must(t, err)
	found := []page{{"", "Provider", "", all.Provider}}
	for name, it := range all.ResourceSchemas {
		found = append(found, page{"resources", "Resource", name, it})
	}
	for name, it := range all.DataSourceSchemas {
		found = append(found, page{"data-sources", "Data Source", name, it})
	}
	for name, it := range all.EphemeralResourceSchemas {
		found = append(found, page{"ephemeral-resources", "Ephemeral Resource", name, it})
	}
	return found
}

// file is where the page stands.
func (p page) file() string {
	if p.folder == "" {
		return filepath.Join(docs, "index.md")
	}
	return filepath.Join(docs, p.folder, strings.TrimPrefix(p.name, "tokenward_")+".md")
}

// example is what its page shows, and the tests apply.
func (p page) example() string {
	if p.folder == "" {
		return filepath.Join(examples, "provider", "provider.tf")
	}
	return filepath.Join(examples, p.folder, p.name, strings.TrimSuffix(p.folder, "s")+".tf")
}

func (p page) text(t *testing.T) string {
	t.Helper()
	title := p.name
	if title == "" {
		title = "tokenward"
	}
	what := strings.ReplaceAll(p.schema.Block.Description, "\n", " ")
	var page strings.Builder
	fmt.Fprintf(&page, "---\npage_title: \"%s %s\"\ndescription: |-\n  %s\n---\n\n# %s (%s)\n\n%s\n", title, p.kind, what, title, p.kind, what)
	example, err := os.ReadFile(p.example())
	must(t, err)
	fmt.Fprintf(&page, "\n## Example Usage\n\n```terraform\n%s```\n\n## Schema\n", example)
	describeAttributes(&page, "###", p.schema.Block.Attributes)
	if imports, err := os.ReadFile(filepath.Join(filepath.Dir(p.example()), "import.sh")); err == nil {
		fmt.Fprintf(&page, "\n## Import\n\n```shell\n%s```\n", imports)
	}
	return page.String()
}

// describeAttributes lists attributes, what must be said first.
func describeAttributes(page *strings.Builder, level string, all []*tfprotov6.SchemaAttribute) {
	sort.Slice(all, func(a, b int) bool { return all[a].Name < all[b].Name })
	for _, group := range []struct {
		title string
		has   func(*tfprotov6.SchemaAttribute) bool
	}{
		{"Required", func(it *tfprotov6.SchemaAttribute) bool { return it.Required }},
		{"Optional", func(it *tfprotov6.SchemaAttribute) bool { return it.Optional }},
		{"Read-Only", func(it *tfprotov6.SchemaAttribute) bool { return !it.Required && !it.Optional }},
	} {
		if !slices.ContainsFunc(all, group.has) {
			continue
		}
		fmt.Fprintf(page, "\n%s %s\n\n", level, group.title)
		for _, it := range all {
			if !group.has(it) {
				continue
			}
			kind := "Attributes"
			if it.Type != nil {
				kind = strings.NewReplacer("tftypes.", "", "DynamicPseudoType", "Dynamic", "[", " of ", "]", "").Replace(it.Type.String())
			}
			if it.Sensitive {
				kind += ", Sensitive"
			}
			if it.WriteOnly {
				kind += ", Write-only"
			}
			fmt.Fprintf(page, "- `%s` (%s)", it.Name, kind)
			if it.Description != "" {
				page.WriteString(" " + it.Description)
			}
			page.WriteString("\n")
			describeNested(page, "    ", it)
		}
	}
}

// describeNested lists the attributes of one, and of those in it.
func describeNested(page *strings.Builder, indent string, of *tfprotov6.SchemaAttribute) {
	if of.NestedType == nil {
		return
	}
	for _, inner := range of.NestedType.Attributes {
		fmt.Fprintf(page, "%s- `%s` %s\n", indent, inner.Name, inner.Description)
		describeNested(page, indent+"    ", inner)
	}
}

// `WRITE_DOCS=1 scripts/clients terraform` writes them anew.
func TestTheDocsOfTheRegistriesAreWhatTheSchemaSays(t *testing.T) {
	expected := []string{filepath.Join(docs, "guides", "moving.md"), filepath.Join(docs, "guides", "secrets.md")}
	for _, it := range pages(t) {
		expected = append(expected, it.file())
		text := it.text(t)
		if os.Getenv("WRITE_DOCS") != "" {
			must(t, os.MkdirAll(filepath.Dir(it.file()), 0o755))
			must(t, os.WriteFile(it.file(), []byte(text), 0o644))
		}
		if found, err := os.ReadFile(it.file()); err != nil || string(found) != text {
			t.Errorf("%s is not what the schema says (%v): WRITE_DOCS=1 scripts/clients terraform", it.file(), err)
		}
		for _, attribute := range it.schema.Block.Attributes {
			if attribute.Description == "" && !slices.Contains([]string{"id", "name", "email", "description", "key", "project_id", "environment_id", "cluster_id"}, attribute.Name) {
				t.Errorf("%s: `%s` is not described", it.file(), attribute.Name)
			}
		}
	}
	must(t, filepath.WalkDir(docs, func(path string, it os.DirEntry, err error) error {
		if err == nil && !it.IsDir() && !slices.Contains(expected, path) {
			t.Errorf("%s is about nothing that there is", path)
		}
		return err
	}))
}

func TestEachExampleIsApplied(t *testing.T) {
	s := newServer(t)
	for _, it := range pages(t) {
		t.Run(it.example(), func(t *testing.T) {
			c := newCore(t, s.world, "")
			must(t, os.Remove(filepath.Join(c.folder, "main.tf")))
			for _, file := range []string{it.example(), filepath.Join(filepath.Dir(it.example()), "openapi.yaml")} {
				text, err := os.ReadFile(file)
				if os.IsNotExist(err) && file != it.example() {
					continue
				}
				must(t, err)
				must(t, os.WriteFile(filepath.Join(c.folder, filepath.Base(file)), text, 0o600))
			}
			if it.folder != "" {
				must(t, os.WriteFile(filepath.Join(c.folder, "versions.tf"), []byte(source), 0o600))
			}
			c.env = append(c.env, "TF_VAR_deployer_secret="+made(), "TF_VAR_billing_digest="+digestOf(made()), "TF_VAR_database_password=hunter2", "TF_VAR_reader_secret="+madeFor("twp_"), "TF_VAR_writer_digest="+digestOf(madeFor("twp_")))
			c.run("apply", "-auto-approve", "-input=false")
			// What a check reads is read again by each plan, which an exit code tells as a change.
			if said := c.run("plan", "-input=false", "-no-color"); !strings.Contains(said, "No changes.") && !strings.Contains(said, "0 to add, 0 to change, 0 to destroy") {
				t.Errorf("the plan after it says: %s", said)
			}
			c.run("apply", "-destroy", "-auto-approve", "-input=false")
		})
	}
	s.healthy()
}

// What a guide shows of this provider alone is applied as well.
func TestEachGuideIsApplied(t *testing.T) {
	s := newServer(t)
	guide, err := os.ReadFile(filepath.Join(docs, "guides", "secrets.md"))
	must(t, err)
	applied := 0
	for _, part := range strings.Split(string(guide), "```terraform\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		if strings.Contains(example, "vault_") {
			continue
		}
		applied++
		c := newCore(t, s.world, "variable \"run\" {\n  default = \"1234\"\n}\n"+example)
		c.run("apply", "-auto-approve", "-input=false")
		c.run("plan", "-detailed-exitcode", "-input=false")
		c.run("apply", "-destroy", "-auto-approve", "-input=false")
	}
	if applied != 2 {
		t.Errorf("%d were applied", applied)
	}
}
