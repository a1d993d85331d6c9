package provider

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	upper      = regexp.MustCompile(`[A-Z]`)
	yamlName   = regexp.MustCompile(`^  (\w+):$`)
	yamlKind   = regexp.MustCompile(`^    type: tokenward:(\w+)$`)
	yamlWord   = regexp.MustCompile(`^      (\w+):`)
	typescript = regexp.MustCompile(`(?s)new tokenward\.(\w+)\(\s*'(\w+)',\s*\{(.*?)\},\s*\{`)
	inside     = regexp.MustCompile(`'[^']*'|\{[^{}]*\}`)
	word       = regexp.MustCompile(`(\w+):`)
)

// Pulumi's engine is not at hand. What can be known without it: the examples say nothing that there is not, and all that must be said.
func TestTheExamplesForPulumiSayWhatTheProviderKnows(t *testing.T) {
	snake := func(name string) string {
		return strings.ToLower(strings.TrimPrefix(upper.ReplaceAllString(name, "_$0"), "_"))
	}
	// The kind of each resource, and the attributes that are said of it.
	said := map[string][]string{}
	yaml, err := os.ReadFile(filepath.Join(examples, "pulumi", "yaml", "Pulumi.yaml"))
	must(t, err)
	at, properties := "", false
	for line := range strings.SplitSeq(string(yaml), "\n") {
		if found := yamlName.FindStringSubmatch(line); found != nil {
			at = "YAML " + found[1]
		} else if found := yamlKind.FindStringSubmatch(line); found != nil {
			said[at] = []string{"tokenward_" + snake(found[1])}
		} else if found := yamlWord.FindStringSubmatch(line); found != nil && properties {
			said[at] = append(said[at], snake(found[1]))
		} else if !strings.HasPrefix(line, "      ") {
			properties = line == "    properties:"
		}
	}
	program, err := os.ReadFile(filepath.Join(examples, "pulumi", "typescript", "index.ts"))
	must(t, err)
	for _, found := range typescript.FindAllStringSubmatch(string(program), -1) {
		at := "TypeScript " + found[2]
		said[at] = []string{"tokenward_" + snake(found[1])}
		for _, name := range word.FindAllStringSubmatch(inside.ReplaceAllString(inside.ReplaceAllString(found[3], "_"), "_"), -1) {
			said[at] = append(said[at], snake(name[1]))
		}
	}
	if len(said) != 6 {
		t.Errorf("%d resources were found: %v", len(said), said)
	}
	kinds := map[string]page{}
	for _, it := range pages(t) {
		if it.folder == "resources" {
			kinds[it.name] = it
		}
	}
	for where, names := range said {
		it, known := kinds[names[0]]
		if !known {
			t.Errorf("%s: there is no %s", where, names[0])
			continue
		}
		given := map[string]bool{}
		for _, name := range names[1:] {
			given[name] = true
		}
		for _, attribute := range it.schema.Block.Attributes {
			if attribute.Required && !given[attribute.Name] {
				t.Errorf("%s: `%s` is not said", where, attribute.Name)
			}
			if given[attribute.Name] && (attribute.WriteOnly || !attribute.Required && !attribute.Optional) {
				t.Errorf("%s: `%s` cannot be said there", where, attribute.Name)
			}
			delete(given, attribute.Name)
		}
		for name := range given {
			t.Errorf("%s: %s has no `%s`", where, names[0], name)
		}
	}
}
