package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type apiResource struct{ managed }

func newAPIResource() resource.Resource { return &apiResource{} }

var (
	_ resource.ResourceWithImportState    = (*apiResource)(nil)
	_ resource.ResourceWithValidateConfig = (*apiResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*apiResource)(nil)
)

type apiModel struct {
	ID           types.String `tfsdk:"id"`
	Name         types.String `tfsdk:"name"`
	Document     types.String `tfsdk:"document"`
	Format       types.String `tfsdk:"format"`
	UnknownRoute types.String `tfsdk:"unknown_route"`
	AllowPaths   types.Set    `tfsdk:"allow_paths"`
	Routes       types.Map    `tfsdk:"routes"`
	Notes        types.List   `tfsdk:"notes"`
}

// What a document is written in.
var formats = []string{"json", "yaml", "toml"}

func (r *apiResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_api"
}

func (r *apiResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "The routes of your own API, and what each needs, from its OpenAPI document. The plan lists them, and what changes for which roles.",
		Attributes: map[string]schema.Attribute{
			"id":       idAttribute(),
			"name":     schema.StringAttribute{Required: true, MarkdownDescription: "The name by which services and gateways ask for it.", PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}},
			"document": schema.StringAttribute{Required: true, MarkdownDescription: "An OpenAPI 3 or Swagger 2.0 document, or a short list of routes: `file(\"openapi.yaml\")`."},
			"format":   schema.StringAttribute{Optional: true, MarkdownDescription: "`json`, `yaml` or `toml`. Where nothing is said, a document that begins with a brace is JSON, and any other one YAML."},
			"unknown_route": schema.StringAttribute{Optional: true, Computed: true,
				MarkdownDescription: "What becomes of a request that no route describes: `deny` or `allow`. Counts more than the document."},
			"allow_paths": schema.SetAttribute{Optional: true, Computed: true, ElementType: types.StringType,
				MarkdownDescription: "How the servers of this API are known to read paths that others read in another way. Counts more than the document."},
			"routes": schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What each route needs, by its method and path."},
			"notes":  schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What was not taken as the document has it."},
		},
	}
}

func (r *apiResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config apiModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	oneOf(path.Root("format"), config.Format, &response.Diagnostics, formats...)
	oneOf(path.Root("unknown_route"), config.UnknownRoute, &response.Diagnostics, "deny", "allow")
	checkNulls(path.Root("allow_paths"), config.AllowPaths.Elements(), &response.Diagnostics)
}

// document is what a configuration says; false while something of it is not known yet.
func (m apiModel) document(ctx context.Context, diagnostics *diag.Diagnostics) (api.Document, bool) {
	unknown := slices.ContainsFunc(m.AllowPaths.Elements(), attr.Value.IsUnknown)
	if m.Document.IsUnknown() || m.Format.IsUnknown() || m.UnknownRoute.IsUnknown() || m.AllowPaths.IsUnknown() || unknown {
		return api.Document{}, false
	}
	document := api.Document{Format: m.Format.ValueString(), Text: m.Document.ValueString(), UnknownRoute: m.UnknownRoute.ValueString()}
	if document.Format == "" {
		document.Format = "yaml"
		if strings.HasPrefix(strings.TrimSpace(document.Text), "{") {
			document.Format = "json"
		}
	}
	if !m.AllowPaths.IsNull() {
		words := texts(ctx, m.AllowPaths, diagnostics)
		document.AllowPaths = &words
	}
	return document, true
}

// read takes over what the server made of a document.
func (m *apiModel) read(it api.API) {
	m.ID, m.Name, m.UnknownRoute = types.StringValue(it.ID), types.StringValue(it.Name), types.StringValue(it.UnknownRoute)
	m.AllowPaths = textSet(it.AllowPaths, types.SetUnknown(types.StringType))
	routes := make(map[string]attr.Value, len(it.Routes))
	for _, route := range it.Routes {
		routes[route.Method+" "+route.Path] = types.StringValue(route.Need())
	}
	m.Routes = types.MapValueMust(types.StringType, routes)
	notes := make([]attr.Value, 0, len(it.Notes))
	for _, note := range it.Notes {
		notes = append(notes, types.StringValue(note))
	}
	m.Notes = types.ListValueMust(types.StringType, notes)
}

// ModifyPlan asks the server what it would make of the document: the routes of the plan are those that the apply will have.
func (r *apiResource) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Plan.Raw.IsNull() || r.of == nil {
		return
	}
	var config, plan apiModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}, sent{request.Plan, &plan}) {
		return
	}
	document, known := config.document(ctx, &response.Diagnostics)
	if !known || config.Name.IsUnknown() {
		return
	}
	shown, err := r.of.PreviewAPI(ctx, config.Name.ValueString(), document)
	if err != nil {
		tell(&response.Diagnostics, "The document cannot be imported", err)
		return
	}
	id := plan.ID
	plan.read(shown)
	// A preview of a new one has an id of its own.
	plan.ID = id
	response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
	if shown.Changes != nil && len(shown.Changes.Roles) > 0 {
		response.Diagnostics.AddAttributeWarning(path.Root("document"), "What tokens reach becomes different", reaches(shown.Changes.Roles))
	}
}

// reaches says what changes for which roles.
func reaches(roles []api.RoleReach) string {
	side := func(count int, verb string, first []string) string {
		if count == 0 {
			return ""
		}
		told := strings.Join(first, ", ")
		if more := count - len(first); more > 0 {
			told += fmt.Sprintf(" and %d more", more)
		}
		return fmt.Sprintf("\n    %s %d: %s", verb, count, told)
	}
	var lines []string
	for _, it := range roles {
		lines = append(lines, "Tokens of the role "+it.Name+side(it.Gains, "reach routes that they did not,", it.Gained)+side(it.Loses, "reach routes no more,", it.Lost))
	}
	return strings.Join(lines, "\n")
}

func (r *apiResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan, config apiModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	name := plan.Name.ValueString()
	document, _ := config.document(ctx, &response.Diagnostics)
	// A document takes the place of the one that is there: whose that is must be known before.
	there, err := r.of.API(ctx, name)
	if err == nil {
		refused := fmt.Errorf("the name `%s` is taken by another API.", name)
		_, err = adopted(ctx, r.of, there.ID, refused, func(string) (api.API, error) { return there, nil }, func(it api.API) bool {
			now := plan
			now.read(it)
			return now.Routes.Equal(plan.Routes) && now.UnknownRoute.Equal(plan.UnknownRoute) && now.AllowPaths.Equal(plan.AllowPaths)
		})
	}
	if err != nil && !api.NotFound(err) {
		tell(&response.Diagnostics, "The API cannot be made", err)
		return
	}
	r.put(ctx, plan, "", document, "made", &response.Diagnostics, func(it apiModel) diag.Diagnostics { return response.State.Set(ctx, it) })
}

// put imports a document, and keeps what the server made of it.
func (r *apiResource) put(ctx context.Context, plan apiModel, etag string, document api.Document, done string, diagnostics *diag.Diagnostics, keep func(apiModel) diag.Diagnostics) {
	it, err := r.of.PutAPI(ctx, plan.Name.ValueString(), etag, document)
	if err != nil {
		tell(diagnostics, "The API cannot be "+done, err)
		return
	}
	plan.read(it)
	diagnostics.Append(keep(plan)...)
}

func (r *apiResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state apiModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	it, err := r.of.API(ctx, state.Name.ValueString())
	if err != nil {
		r.unread(ctx, response, "api", err)
		return
	}
	state.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *apiResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, config, state apiModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}, sent{request.State, &state}) {
		return
	}
	if state.Document.IsNull() && plan.UnknownRoute.Equal(state.UnknownRoute) && plan.AllowPaths.Equal(state.AllowPaths) && plan.Routes.Equal(state.Routes) && plan.Notes.Equal(state.Notes) {
		// The document of one that was imported is adopted where it makes what is there.
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	document, _ := config.document(ctx, &response.Diagnostics)
	before, err := r.of.API(ctx, plan.Name.ValueString())
	if err != nil {
		tell(&response.Diagnostics, "The API cannot be changed", err)
		return
	}
	r.put(ctx, plan, before.ETag, document, "changed", &response.Diagnostics, func(it apiModel) diag.Diagnostics { return response.State.Set(ctx, it) })
}

func (r *apiResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state apiModel
	if take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		r.deleted(ctx, response, "api", r.of.DeleteAPI(ctx, state.Name.ValueString()))
	}
}

func (r *apiResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "API", path.Root("name"), func(wanted string) (string, error) {
		all, err := r.of.APIs(ctx)
		if err != nil {
			return "", err
		}
		it, err := byName(all, wanted, "API", func(it api.API) (string, string) { return it.ID, it.Name })
		return it.Name, err
	})
}
