package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type projectResource struct{ managed }

func newProjectResource() resource.Resource { return &projectResource{} }

var _ resource.ResourceWithImportState = (*projectResource)(nil)

type projectModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
}

func (r *projectResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_project"
}

func (r *projectResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "A project: what environments and variables belong to.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"name":        schema.StringAttribute{Required: true},
			"description": schema.StringAttribute{Optional: true},
		},
	}
}

func (m projectModel) fields() api.Fields {
	return api.Fields{"name": m.Name.ValueString(), "description": m.Description.ValueString()}
}

func (m *projectModel) read(project api.Project) {
	m.ID, m.Name, m.Description = types.StringValue(project.ID), types.StringValue(project.Name), describe(m.Description, project.Description)
}

func (r *projectResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan projectModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	project, err := r.of.CreateProject(ctx, plan.fields())
	if id, taken := api.Taken(err); taken {
		project, err = adopted(ctx, r.of, id, err, func(id string) (api.Project, error) { return r.of.Project(ctx, id) }, func(it api.Project) bool {
			now := plan
			now.read(it)
			now.ID = plan.ID
			return now == plan
		})
	}
	if err != nil {
		tell(&response.Diagnostics, "The project cannot be made", err)
		return
	}
	plan.read(project)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *projectResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state projectModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	project, err := r.of.Project(ctx, state.ID.ValueString())
	if err != nil {
		r.unread(ctx, response, "project", err)
		return
	}
	state.read(project)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *projectResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan projectModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	project, err := r.of.Project(ctx, plan.ID.ValueString())
	if err == nil {
		project, err = r.of.EditProject(ctx, project.ID, project.ETag, plan.fields())
	}
	if err != nil {
		tell(&response.Diagnostics, "The project cannot be changed", err)
		return
	}
	plan.read(project)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *projectResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state projectModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	r.deleted(ctx, response, "project", r.of.DeleteProject(ctx, state.ID.ValueString()))
}

func (r *projectResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "project", path.Root("id"), func(wanted string) (string, error) {
		project, err := findProject(ctx, r.of, wanted)
		return project.ID, err
	})
}

func findProject(ctx context.Context, of *api.Of, wanted string) (api.Project, error) {
	all, err := of.KnownProjects(ctx)
	if err != nil {
		return api.Project{}, err
	}
	return byName(all, wanted, "project", func(it api.Project) (string, string) { return it.ID, it.Name })
}
