package provider

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// What the registries ask of a release: a manifest that says which protocol it speaks, archives, checksums of both, and their signature.
func TestAReleaseHasWhatTheRegistriesAsk(t *testing.T) {
	text, err := os.ReadFile("../../terraform-registry-manifest.json")
	must(t, err)
	var manifest struct {
		Version  int
		Metadata struct {
			Protocols []string `json:"protocol_versions"`
		}
	}
	must(t, json.Unmarshal(text, &manifest))
	// `providerserver` serves version 6 where nothing else is said.
	if manifest.Version != 1 || len(manifest.Metadata.Protocols) != 1 || manifest.Metadata.Protocols[0] != "6.0" {
		t.Errorf("the manifest says %+v", manifest)
	}
	release, err := os.ReadFile("../../.goreleaser.yml")
	must(t, err)
	for told, times := range map[string]int{
		"project_name: terraform-provider-tokenward\n": 1,
		`binary: "{{ .ProjectName }}_v{{ .Version }}"`: 1,
		"formats: [zip]": 1,
		`"{{ .ProjectName }}_{{ .Version }}_{{ .Os }}_{{ .Arch }}"`: 1,
		`"{{ .ProjectName }}_{{ .Version }}_SHA256SUMS"`:            1,
		"artifacts: checksum":                                              1,
		"-X main.version={{ .Version }}":                                   1,
		"glob: terraform-registry-manifest.json":                           2,
		`name_template: "{{ .ProjectName }}_{{ .Version }}_manifest.json"`: 2,
	} {
		if found := strings.Count(string(release), told); found != times {
			t.Errorf("%q stands there %d times, not %d", told, found, times)
		}
	}
	main, err := os.ReadFile("../../main.go")
	if must(t, err); !strings.Contains(string(main), "registry.terraform.io/tokenward/tokenward") || strings.Contains(string(main), "ProtocolVersion: 5") {
		t.Error("it is served under another address, or by another protocol")
	}
}
