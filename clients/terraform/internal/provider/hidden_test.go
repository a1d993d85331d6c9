package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// kept is an object as a core keeps it.
type kept struct {
	kind     string
	state    *tfprotov6.DynamicValue
	identity *tfprotov6.ResourceIdentityData
	private  []byte
}

// known imports all objects of a state by their identities, and reads them.
func known(t *testing.T, server tfprotov6.ProviderServer, ids map[string]map[string]string) map[string]kept {
	t.Helper()
	identities, err := server.GetResourceIdentitySchemas(t.Context(), &tfprotov6.GetResourceIdentitySchemasRequest{})
	must(t, err)
	all := map[string]kept{}
	for address, id := range ids {
		kind, _, _ := strings.Cut(address, ".")
		schema := identities.IdentitySchemas[kind]
		values := map[string]tftypes.Value{}
		for _, attribute := range schema.IdentityAttributes {
			values[attribute.Name] = tftypes.NewValue(tftypes.String, nil)
			if value := id[attribute.Name]; value != "" {
				values[attribute.Name] = tftypes.NewValue(tftypes.String, value)
			}
		}
		wanted, err := tfprotov6.NewDynamicValue(schema.ValueType(), tftypes.NewValue(schema.ValueType(), values))
		must(t, err)
		imported, err := server.ImportResourceState(t.Context(), &tfprotov6.ImportResourceStateRequest{TypeName: kind, Identity: &tfprotov6.ResourceIdentityData{IdentityData: &wanted}})
		must(t, err)
		noErrors(t, imported.Diagnostics)
		if len(imported.ImportedResources) != 1 {
			t.Fatalf("%s: %d were imported", address, len(imported.ImportedResources))
		}
		one := imported.ImportedResources[0]
		read, err := server.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{TypeName: kind, CurrentState: one.State, CurrentIdentity: one.Identity, Private: one.Private})
		must(t, err)
		noErrors(t, read.Diagnostics)
		all[address] = kept{kind, read.NewState, read.NewIdentity, read.Private}
	}
	return all
}

// errorsOf are those of an answer, in words.
func errorsOf(all []*tfprotov6.Diagnostic) string {
	var said []string
	for _, it := range all {
		if it.Severity == tfprotov6.DiagnosticSeverityError {
			said = append(said, it.Summary+": "+it.Detail)
		}
	}
	return strings.Join(said, "; ")
}

// Of each kind: what a token may not see, or not delete, stays in the state, and that is an error; what is gone for one that reads all
// of its kind leaves it.
func TestOfEachKindOnlyWhatIsSurelyGoneLeavesTheState(t *testing.T) {
	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	c := newCore(t, s.world, everything("seen"))
	c.run("apply", "-auto-approve", "-input=false")
	server, schemas := asked(t, s.world)
	all := known(t, server, c.ids())

	// One sees next to nothing; the other one may do everything, in another project.
	blind, err := of.CreateRole(ctx, api.Fields{"name": "blind", "permissions": []string{}})
	must(t, err)
	admin, err := roleID(ctx, of, "admin")
	must(t, err)
	elsewhere, err := of.CreateProject(ctx, api.Fields{"name": "elsewhere"})
	must(t, err)
	for what, it := range map[string]struct {
		fields api.Fields
		// These it reads, or deletes, all the same.
		reads, deletes []string
	}{
		"a token that sees nothing": {api.Fields{"name": "blind", "role_id": blind.ID}, []string{"cluster"}, nil},
		"a token of another project": {api.Fields{"name": "elsewhere", "role_id": admin.ID, "projects": []string{elsewhere.ID}},
			[]string{"cluster", "role", "member", "api", "token", "policy_token"}, []string{"cluster", "role", "member", "api", "token", "policy_token"}},
	} {
		made, err := of.CreateToken(ctx, it.fields)
		must(t, err)
		other := s.world
		other.Admin = made.Text
		server, _ := asked(t, other)
		in := func(list []string, kind string) bool {
			for _, one := range list {
				if "tokenward_"+one == kind {
					return true
				}
			}
			return false
		}
		for address, one := range all {
			schema := schemas.ResourceSchemas[one.kind].ValueType()
			left := func(did, said string, allowed bool, state *tfprotov6.DynamicValue) {
				t.Helper()
				if state == nil {
					t.Fatalf("%s: %s, %s: there is no state (%s)", what, address, did, said)
				}
				now, err := state.Unmarshal(schema)
				must(t, err)
				if now.IsNull() || said == "" && !allowed {
					t.Errorf("%s: %s, %s: it left the state: %t, and is told: %q", what, address, did, now.IsNull(), said)
				}
			}
			read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: one.kind, CurrentState: one.state, CurrentIdentity: one.identity, Private: one.private})
			must(t, err)
			left("read", errorsOf(read.Diagnostics), in(it.reads, one.kind), read.NewState)
			if in(it.deletes, one.kind) {
				continue
			}
			none, err := tfprotov6.NewDynamicValue(schema, tftypes.NewValue(schema, nil))
			must(t, err)
			deleted, err := server.ApplyResourceChange(ctx, &tfprotov6.ApplyResourceChangeRequest{TypeName: one.kind, PriorState: one.state, PlannedState: &none, Config: &none, PlannedPrivate: one.private})
			must(t, err)
			left("deleted", errorsOf(deleted.Diagnostics), false, deleted.NewState)
		}
	}
	s.once("seen", kindsOfEverything, "after all of it")

	c.run("apply", "-destroy", "-auto-approve", "-input=false")
	// What it has listed before does not count.
	server, _ = asked(t, s.world)
	for address, one := range all {
		read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: one.kind, CurrentState: one.state, CurrentIdentity: one.identity, Private: one.private})
		must(t, err)
		noErrors(t, read.Diagnostics)
		now, err := read.NewState.Unmarshal(schemas.ResourceSchemas[one.kind].ValueType())
		must(t, err)
		if !now.IsNull() {
			t.Errorf("%s is gone, and is still in the state", address)
		}
	}
	s.healthy()
}
