package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type environmentResource struct{ managed }

func newEnvironmentResource() resource.Resource { return &environmentResource{} }

var _ resource.ResourceWithImportState = (*environmentResource)(nil)

type environmentModel struct {
	ID        types.String `tfsdk:"id"`
	ProjectID types.String `tfsdk:"project_id"`
	ClusterID types.String `tfsdk:"cluster_id"`
	Name      types.String `tfsdk:"name"`
	Mode      types.String `tfsdk:"mode"`
}

func (r *environmentResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_environment"
}

func (r *environmentResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	replaces := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	response.Schema = schema.Schema{
		MarkdownDescription: "An environment of a project, on a cluster.",
		Attributes: map[string]schema.Attribute{
			"id":         idAttribute(),
			"project_id": schema.StringAttribute{Required: true, PlanModifiers: replaces},
			"cluster_id": schema.StringAttribute{Required: true, PlanModifiers: replaces},
			"name":       schema.StringAttribute{Required: true},
			"mode":       schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString("DEVELOPMENT"), MarkdownDescription: "`DEVELOPMENT`, `STAGING` or `PRODUCTION`."},
		},
	}
}

func (m *environmentModel) read(it api.Environment) {
	m.ID, m.ProjectID, m.ClusterID = types.StringValue(it.ID), types.StringValue(it.Project.ID), types.StringValue(it.ClusterID)
	m.Name, m.Mode = types.StringValue(it.Name), types.StringValue(it.Mode)
}

func (r *environmentResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan environmentModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	fields := api.Fields{"name": plan.Name.ValueString(), "mode": plan.Mode.ValueString(), "cluster": plan.ClusterID.ValueString()}
	it, err := r.of.CreateEnvironment(ctx, plan.ProjectID.ValueString(), fields)
	if id, taken := api.Taken(err); taken {
		it, err = adopted(ctx, r.of, id, err, func(id string) (api.Environment, error) { return r.of.Environment(ctx, id) }, func(it api.Environment) bool {
			now := plan
			now.read(it)
			now.ID = plan.ID
			return now == plan
		})
	}
	if err != nil {
		tell(&response.Diagnostics, "The environment cannot be made", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *environmentResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state environmentModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	it, err := r.of.Environment(ctx, state.ID.ValueString())
	if err != nil {
		r.unread(ctx, response, "environment", err)
		return
	}
	state.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *environmentResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan environmentModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	it, err := r.of.Environment(ctx, plan.ID.ValueString())
	if err == nil {
		it, err = r.of.EditEnvironment(ctx, it.ID, it.ETag, api.Fields{"name": plan.Name.ValueString(), "mode": plan.Mode.ValueString()})
	}
	if err != nil {
		tell(&response.Diagnostics, "The environment cannot be changed", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *environmentResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state environmentModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	r.deleted(ctx, response, "environment", r.of.DeleteEnvironment(ctx, state.ID.ValueString()))
}

func (r *environmentResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "environment", path.Root("id"), func(wanted string) (string, error) {
		if uuidForm.MatchString(wanted) {
			return wanted, nil
		}
		if id, found := r.of.NamedEnvironment(ctx, wanted); found {
			return id, nil
		}
		return onlyEnvironment(ctx, r.of, wanted)
	})
}

// onlyEnvironment finds one by its name alone, where no other project has one of that name.
func onlyEnvironment(ctx context.Context, of *api.Of, name string) (string, error) {
	projects, err := of.KnownProjects(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, project := range projects {
		environments, err := of.KnownEnvironments(ctx, project.ID)
		if err != nil {
			return "", err
		}
		for _, it := range environments {
			if strings.EqualFold(it.Name, name) {
				found = append(found, it.ID)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("there is no environment `%s`, or this token may not see it: write its id, or PROJECT/ENVIRONMENT", name)
	}
	return "", fmt.Errorf("%d projects have an environment `%s`: write PROJECT/ENVIRONMENT", len(found), name)
}

func findEnvironment(ctx context.Context, of *api.Of, project, name string) (api.Environment, error) {
	in, err := findProject(ctx, of, project)
	if err != nil {
		return api.Environment{}, err
	}
	all, err := of.KnownEnvironments(ctx, in.ID)
	if err != nil {
		return api.Environment{}, err
	}
	return byName(all, name, "environment", func(it api.Environment) (string, string) { return it.ID, it.Name })
}
