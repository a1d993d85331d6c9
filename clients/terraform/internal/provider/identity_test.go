package provider

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Cores of 1.12 and later keep an identity and import by it. This asks the provider as they do.
func TestEachResourceHasAnIdentityAndIsImportedByIt(t *testing.T) {
	s := newServer(t)
	c := newCore(t, s.world, everything("same")+`
resource "tokenward_organization" "it" {
  name = "Acme"
}
`)
	c.run("apply", "-auto-approve", "-input=false")
	ctx := t.Context()
	server, all := asked(t, s.world)
	known, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	must(t, err)
	seen := map[string]bool{}
	for address, id := range c.ids() {
		kind, _, _ := strings.Cut(address, ".")
		seen[kind] = true
		schema, ok := known.IdentitySchemas[kind]
		if !ok {
			t.Fatalf("%s has no identity", kind)
		}
		values := map[string]tftypes.Value{"id": tftypes.NewValue(tftypes.String, id["id"])}
		for _, attribute := range schema.IdentityAttributes {
			if value := id[attribute.Name]; attribute.Name != "id" {
				values[attribute.Name] = tftypes.NewValue(tftypes.String, nil)
				if value != "" {
					values[attribute.Name] = tftypes.NewValue(tftypes.String, value)
				}
			}
		}
		wanted, err := tfprotov6.NewDynamicValue(schema.ValueType(), tftypes.NewValue(schema.ValueType(), values))
		must(t, err)
		imported, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: kind, Identity: &tfprotov6.ResourceIdentityData{IdentityData: &wanted}})
		must(t, err)
		noErrors(t, imported.Diagnostics)
		one := imported.ImportedResources[0]
		read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: kind, CurrentState: one.State, CurrentIdentity: one.Identity, Private: one.Private})
		must(t, err)
		noErrors(t, read.Diagnostics)
		state, err := read.NewState.Unmarshal(all.ResourceSchemas[kind].ValueType())
		must(t, err)
		identity, err := read.NewIdentity.IdentityData.Unmarshal(schema.ValueType())
		must(t, err)
		if expected := tftypes.NewValue(schema.ValueType(), values); state.IsNull() || !identity.Equal(expected) {
			t.Errorf("%s: %s is read as %s", address, expected, identity)
		}
	}
	if len(seen) != len(all.ResourceSchemas) {
		t.Errorf("these have one: %v", seen)
	}
	// Half an identity is told.
	half := known.IdentitySchemas["tokenward_variable"].ValueType()
	wanted, err := tfprotov6.NewDynamicValue(half, tftypes.NewValue(half, map[string]tftypes.Value{
		"id": tftypes.NewValue(tftypes.String, "x"), "project_id": tftypes.NewValue(tftypes.String, nil), "environment_id": tftypes.NewValue(tftypes.String, nil)}))
	must(t, err)
	refused, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: "tokenward_variable", Identity: &tfprotov6.ResourceIdentityData{IdentityData: &wanted}})
	must(t, err)
	if len(refused.Diagnostics) == 0 || !strings.Contains(refused.Diagnostics[0].Detail, "environment_id") {
		t.Errorf("it says: %v", refused.Diagnostics)
	}
}

// asked is the provider, configured, as a core asks it.
func asked(t *testing.T, it world) (tfprotov6.ProviderServer, *tfprotov6.GetProviderSchemaResponse) {
	t.Helper()
	server, err := providerserver.NewProtocol6WithError(New("test")())()
	must(t, err)
	all, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	must(t, err)
	settings := tftypes.NewValue(all.Provider.ValueType(), map[string]tftypes.Value{
		"url": tftypes.NewValue(tftypes.String, it.URL), "token": tftypes.NewValue(tftypes.String, it.Admin),
		"organization": tftypes.NewValue(tftypes.String, nil), "ca_certificate": tftypes.NewValue(tftypes.String, nil)})
	sent, err := tfprotov6.NewDynamicValue(all.Provider.ValueType(), settings)
	must(t, err)
	configured, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: &sent})
	must(t, err)
	noErrors(t, configured.Diagnostics)
	return server, all
}

func noErrors(t *testing.T, diagnostics []*tfprotov6.Diagnostic) {
	t.Helper()
	for _, it := range diagnostics {
		if it.Severity == tfprotov6.DiagnosticSeverityError {
			t.Errorf("%s: %s", it.Summary, it.Detail)
		}
	}
}

// With a core that knows identities (Terraform 1.12, OpenTofu 1.12): imported by one, the plan after it is empty, and what was
// deleted by hand leaves the state.
func TestACoreThatKnowsIdentitiesImportsByThem(t *testing.T) {
	said, err := exec.Command(os.Getenv("TF_ACC_TERRAFORM_PATH"), "version").Output()
	must(t, err)
	if strings.Contains(string(said), " v1.11.") {
		t.Skip("this core is older")
	}
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	role, err := roleID(ctx, of, "viewer")
	must(t, err)
	found, err := of.CreateToken(ctx, map[string]any{"name": "by-identity", "role_id": role.ID})
	must(t, err)
	own := "resource \"tokenward_token\" \"it\" {\n  name     = \"by-identity\"\n  role     = \"viewer\"\n  generate = true\n}\n"
	c := newCore(t, s.world, fmt.Sprintf("import {\n  to = tokenward_token.it\n  identity = {\n    id = %q\n  }\n}\n", found.ID)+own)
	c.run("apply", "-auto-approve", "-input=false")
	if code := verify(t, s.world, found.Text); code != "valid" {
		t.Errorf("the token is %s", code)
	}
	c.write(own)
	c.run("plan", "-detailed-exitcode", "-input=false")
	must(t, of.DeleteToken(ctx, found.ID))
	c.run("apply", "-auto-approve", "-input=false")
	c.run("plan", "-detailed-exitcode", "-input=false")
	if now := c.ids()["tokenward_token.it"]["id"]; now == found.ID || now == "" {
		t.Errorf("the state has %q", now)
	}
	s.healthy()
}
