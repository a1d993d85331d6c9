package provider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	resourceschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// This program is itself the other provider of a test where its environment says so.
const isStandIn = "TOKENWARD_STAND_IN"

// serveStandIn is the whole life of that.
func serveStandIn() {
	options := providerserver.ServeOpts{Address: "registry.terraform.io/qovery/qovery"}
	if err := providerserver.Serve(context.Background(), func() provider.Provider { return &standIn{} }, options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// standIn stands for the published provider: it has resources of the same names, makes what they say at the server of the test, keeps the
// text of a token in the state, and deletes what is destroyed.
type standIn struct{}

func (*standIn) Metadata(_ context.Context, _ provider.MetadataRequest, response *provider.MetadataResponse) {
	response.TypeName = "qovery"
}

func (*standIn) Schema(_ context.Context, _ provider.SchemaRequest, response *provider.SchemaResponse) {
	response.Schema = schema.Schema{}
}

func (*standIn) Configure(ctx context.Context, _ provider.ConfigureRequest, response *provider.ConfigureResponse) {
	client, err := api.New(api.Config{URL: os.Getenv("TEST_QOVERY_HOST"), Token: os.Getenv("QOVERY_API_TOKEN"), Agent: "stand-in"})
	if err == nil {
		response.ResourceData, err = client.Organization(ctx, "")
	}
	if err != nil {
		response.Diagnostics.AddError("No server", err.Error())
	}
}

func (*standIn) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (*standIn) Resources(context.Context) []func() resource.Resource {
	kinds := []standInResource{
		{kind: "qovery_project", attributes: []string{"organization_id", "name"},
			create: func(ctx context.Context, of *api.Of, said map[string]string) (string, string, error) {
				it, err := of.CreateProject(ctx, api.Fields{"name": said["name"]})
				return it.ID, "", err
			},
			remove: func(ctx context.Context, of *api.Of, id string) error { return of.DeleteProject(ctx, id) }},
		{kind: "qovery_environment", attributes: []string{"project_id", "cluster_id", "name", "mode"},
			create: func(ctx context.Context, of *api.Of, said map[string]string) (string, string, error) {
				it, err := of.CreateEnvironment(ctx, said["project_id"], api.Fields{"name": said["name"], "mode": said["mode"], "cluster": said["cluster_id"]})
				return it.ID, "", err
			},
			remove: func(ctx context.Context, of *api.Of, id string) error { return of.DeleteEnvironment(ctx, id) }},
		{kind: "qovery_custom_role", attributes: []string{"organization_id", "name"},
			create: func(ctx context.Context, of *api.Of, said map[string]string) (string, string, error) {
				it, err := of.CreateRole(ctx, api.Fields{"name": said["name"]})
				return it.ID, "", err
			},
			remove: func(ctx context.Context, of *api.Of, id string) error { return of.DeleteRole(ctx, id, "") }},
		{kind: "qovery_organization_member", attributes: []string{"organization_id", "email", "role_id"},
			create: func(ctx context.Context, of *api.Of, said map[string]string) (string, string, error) {
				it, err := of.Invite(ctx, said["email"], said["role_id"])
				return it.ID, "", err
			},
			remove: func(ctx context.Context, of *api.Of, id string) error { return of.Uninvite(ctx, id) }},
		{kind: "qovery_api_token", attributes: []string{"organization_id", "name", "role_id"},
			create: func(ctx context.Context, of *api.Of, said map[string]string) (string, string, error) {
				it, err := of.CreateToken(ctx, api.Fields{"name": said["name"], "role_id": said["role_id"]})
				return it.ID, it.Text, err
			},
			remove: func(ctx context.Context, of *api.Of, id string) error { return of.DeleteToken(ctx, id) }},
	}
	made := make([]func() resource.Resource, 0, len(kinds))
	for _, kind := range kinds {
		made = append(made, func() resource.Resource {
			one := kind
			return &one
		})
	}
	return made
}

// standInResource has texts that must be said, an id, and a token where it is one.
type standInResource struct {
	managed
	kind       string
	attributes []string
	create     func(ctx context.Context, of *api.Of, said map[string]string) (id, token string, err error)
	remove     func(ctx context.Context, of *api.Of, id string) error
}

func (r *standInResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = r.kind
}

func (r *standInResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	all := map[string]resourceschema.Attribute{
		"id":    idAttribute(),
		"token": resourceschema.StringAttribute{Computed: true, Sensitive: true},
	}
	for _, name := range r.attributes {
		all[name] = resourceschema.StringAttribute{Required: true}
	}
	response.Schema = resourceschema.Schema{Attributes: all}
}

func (r *standInResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	said := map[string]string{}
	for _, name := range r.attributes {
		var text types.String
		response.Diagnostics.Append(request.Plan.GetAttribute(ctx, path.Root(name), &text)...)
		said[name] = text.ValueString()
	}
	if response.Diagnostics.HasError() {
		return
	}
	id, token, err := r.create(ctx, r.of, said)
	if err != nil {
		response.Diagnostics.AddError("It cannot be made", err.Error())
		return
	}
	response.State.Raw = request.Plan.Raw
	response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root("id"), id)...)
	response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root("token"), optional(token))...)
}

// Read leaves the state as it is.
func (*standInResource) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (r *standInResource) Update(_ context.Context, _ resource.UpdateRequest, response *resource.UpdateResponse) {
	response.Diagnostics.AddError("Nothing of it is changed", r.kind)
}

func (r *standInResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var id types.String
	response.Diagnostics.Append(request.State.GetAttribute(ctx, path.Root("id"), &id)...)
	if err := r.remove(ctx, r.of, id.ValueString()); err != nil {
		response.Diagnostics.AddError("It cannot be deleted", err.Error())
	}
}

// besidePublished gives a core the published provider beside ours: the program that PUBLISHED_PROVIDER names, or what stands
// for it.
func (c *core) besidePublished(it world) {
	c.t.Helper()
	program := os.Getenv("PUBLISHED_PROVIDER")
	if program == "" {
		own, err := os.Executable()
		must(c.t, err)
		program = filepath.Join(c.folder, "plugins", "published", "terraform-provider-qovery")
		must(c.t, os.MkdirAll(filepath.Dir(program), 0o755))
		must(c.t, os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s'\n", isStandIn, own), 0o755))
	}
	overrides := fmt.Sprintf("provider_installation {\n dev_overrides {\n  \"tokenward/tokenward\" = %q\n  \"qovery/qovery\" = %q\n }\n direct {}\n}\n",
		filepath.Join(c.folder, "plugins"), filepath.Dir(program))
	must(c.t, os.WriteFile(filepath.Join(c.folder, "rc"), []byte(overrides), 0o600))
	c.env = append(slices.Clone(c.env), "TEST_QOVERY_HOST="+it.URL, "QOVERY_API_TOKEN="+it.Admin)
}

// What the guide shows, as it stands there, and the same for one of each of the other kinds of its table.
func TestWhatThePublishedProviderManagesIsTakenOverInOneApply(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(docs, "guides", "moving.md"))
	must(t, err)
	_, example, found := strings.Cut(string(guide), "```terraform\n")
	example, _, whole := strings.Cut(example, "```")
	required, rest, split := strings.Cut(example, "removed {")
	at := strings.Index(rest, "resource \"tokenward_token\"")
	if !found || !whole || !split || at < 0 {
		t.Fatalf("the guide shows: %s", example)
	}
	moved := "removed {" + rest
	token := rest[at:]

	s := newServer(t)
	of, ctx := organization(t, s.world), t.Context()
	cluster, err := of.CreateCluster(ctx, api.Fields{"name": "place", "region": "eu-west-3", "cloud_provider": "AWS"})
	must(t, err)
	viewer, err := roleID(ctx, of, "viewer")
	must(t, err)
	c := newCore(t, s.world, "")
	c.besidePublished(s.world)
	write := func(text string) {
		must(t, os.WriteFile(filepath.Join(c.folder, "main.tf"), []byte(text), 0o600))
	}
	write(required + fmt.Sprintf(`
resource "qovery_project" "shop" {
  organization_id = %[1]q
  name            = "shop"
}
resource "qovery_environment" "test" {
  project_id = qovery_project.shop.id
  cluster_id = %[2]q
  name       = "test"
  mode       = "STAGING"
}
resource "qovery_custom_role" "clerk" {
  organization_id = %[1]q
  name            = "clerk"
}
resource "qovery_organization_member" "ada" {
  organization_id = %[1]q
  email           = "ada@acme.example"
  role_id         = %[3]q
}
resource "qovery_api_token" "ci" {
  organization_id = %[1]q
  name            = "ci"
  role_id         = %[3]q
}
`, of.ID, cluster.ID, viewer.ID))
	c.run("apply", "-auto-approve", "-input=false")
	published := c.generated()
	if len(published) != 1 {
		t.Fatalf("the state of the other provider has %d tokens", len(published))
	}

	// The other kinds of the table: ours, and the way from theirs.
	ours := fmt.Sprintf(`
resource "tokenward_project" "shop" {
  name = "shop"
}
resource "tokenward_environment" "test" {
  project_id = tokenward_project.shop.id
  cluster_id = %q
  name       = "test"
  mode       = "STAGING"
}
resource "tokenward_role" "clerk" {
  name = "clerk"
}
resource "tokenward_member" "ada" {
  email = "ada@acme.example"
  role  = "viewer"
}
`, cluster.ID)
	way := ""
	for _, it := range [][3]string{
		{"qovery_project.shop", "tokenward_project.shop", "shop"},
		{"qovery_environment.test", "tokenward_environment.test", "shop/test"},
		{"qovery_custom_role.clerk", "tokenward_role.clerk", "clerk"},
		{"qovery_organization_member.ada", "tokenward_member.ada", "ada@acme.example"},
	} {
		way += fmt.Sprintf("removed {\n  from = %s\n  lifecycle {\n    destroy = false\n  }\n}\nimport {\n  to = %s\n  id = %q\n}\n", it[0], it[1], it[2])
	}
	write(required + moved + ours + way)
	asked := counting(t, s.world)
	direct := c.env
	c.env = append(slices.Clone(direct), "TOKENWARD_URL="+asked.URL, "TEST_QOVERY_HOST="+asked.URL)
	said := c.run("plan", "-input=false", "-no-color")
	for _, told := range []string{"5 to import", "0 to add", "1 to change", "0 to destroy"} {
		if !strings.Contains(said, told) {
			t.Errorf("of %q the plan says nothing: %s", told, said)
		}
	}
	c.run("apply", "-auto-approve", "-input=false")
	for _, it := range asked.take() {
		if !strings.HasPrefix(it, "GET ") {
			t.Errorf("it asked for %s", it)
		}
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	if left := c.run("state", "list"); strings.Contains(left, "qovery_") {
		t.Errorf("in the state is still: %s", left)
	}

	// Without the blocks and the other provider it is the same.
	c.env = direct
	c.write(token + ours)
	c.run("plan", "-detailed-exitcode", "-input=false")
	if code := verify(t, s.world, published[0]); code != "valid" {
		t.Errorf("the token of the other provider is %s", code)
	}
	// The last step of the guide.
	c.write(strings.Replace(token, "not yet", "done", 1) + ours)
	c.run("apply", "-auto-approve", "-input=false")
	rotated := c.generated()
	if len(rotated) != 1 || rotated[0] == published[0] {
		t.Fatalf("after the rotation there are %d tokens in the state, or the same one", len(rotated))
	}
	for _, text := range []string{published[0], rotated[0]} {
		if code := verify(t, s.world, text); code != "valid" {
			t.Errorf("within the overlap a token is %s", code)
		}
	}
	c.run("plan", "-detailed-exitcode", "-input=false")
	s.healthy()
}
