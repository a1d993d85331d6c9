package provider

import (
	"context"
	"maps"
	"sort"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type roleResource struct{ managed }

func newRoleResource() resource.Resource { return &roleResource{} }

var _ resource.ResourceWithImportState = (*roleResource)(nil)

type roleModel struct {
	ID            types.String            `tfsdk:"id"`
	Name          types.String            `tfsdk:"name"`
	Description   types.String            `tfsdk:"description"`
	Permissions   types.Set               `tfsdk:"permissions"`
	Projects      map[string]projectRight `tfsdk:"projects"`
	Clusters      map[string]types.String `tfsdk:"clusters"`
	MoveHoldersTo types.String            `tfsdk:"move_holders_to"`
}

type projectRight struct {
	Admin       types.Bool   `tfsdk:"admin"`
	Development types.String `tfsdk:"development"`
	Preview     types.String `tfsdk:"preview"`
	Staging     types.String `tfsdk:"staging"`
	Production  types.String `tfsdk:"production"`
}

// What a role may do where nothing is said.
const (
	noAccess      = "NO_ACCESS"
	clusterViewer = "VIEWER"
)

func (r *roleResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_role"
}

func (r *roleResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	level := schema.StringAttribute{Optional: true, MarkdownDescription: "`NO_ACCESS`, `VIEWER`, `DEPLOYER` or `MANAGER`; no access where nothing is said."}
	response.Schema = schema.Schema{
		MarkdownDescription: "A role of your own: what of your API, and of projects and clusters, a token or a member may use.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"name":        schema.StringAttribute{Required: true},
			"description": schema.StringAttribute{Optional: true},
			"permissions": schema.SetAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "What it holds of your API (`invoices:read`, `*` for either side), `token:verify`, `token:rotate-self` and `event:read`."},
			"projects": schema.MapNestedAttribute{
				Optional: true, MarkdownDescription: "What it may do in projects, by their ids.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"admin":       schema.BoolAttribute{Optional: true, MarkdownDescription: "Everything in the project."},
					"development": level, "preview": level, "staging": level, "production": level,
				}},
			},
			"clusters":        schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "What it may do with clusters, by their ids: `VIEWER`, `ENV_CREATOR` or `ADMIN`."},
			"move_holders_to": schema.StringAttribute{Optional: true, MarkdownDescription: "The role, by name or id, that its holders get when it is destroyed. Without it a role in use cannot be."},
		},
	}
}

func (m roleModel) fields(ctx context.Context, before api.CustomRole, diagnostics *diag.Diagnostics) api.CustomRole {
	role := api.CustomRole{ID: before.ID, ETag: before.ETag, Name: m.Name.ValueString(), Description: m.Description.ValueString(),
		Permissions: texts(ctx, m.Permissions, diagnostics), ProjectPermissions: []api.ProjectPermission{}, ClusterPermissions: []api.ClusterPermission{}}
	for id, right := range m.Projects {
		entry := api.ProjectPermission{ProjectID: id, IsAdmin: right.Admin.ValueBool()}
		if !entry.IsAdmin {
			for _, it := range right.levels() {
				level := it.level.ValueString()
				if level == "" {
					level = noAccess
				}
				entry.Permissions = append(entry.Permissions, api.ModePermission{Mode: it.mode, Level: level})
			}
		}
		role.ProjectPermissions = append(role.ProjectPermissions, entry)
	}
	for id, level := range m.Clusters {
		role.ClusterPermissions = append(role.ClusterPermissions, api.ClusterPermission{ClusterID: id, Level: level.ValueString()})
	}
	return role
}

// sameRights says whether two have the same rights on projects and clusters.
func (m roleModel) sameRights(other roleModel) bool {
	return maps.Equal(m.Projects, other.Projects) && maps.EqualFunc(m.Clusters, other.Clusters, func(a, b types.String) bool { return a.Equal(b) })
}

type modeLevel struct {
	mode  string
	level *types.String
}

func (p *projectRight) levels() []modeLevel {
	return []modeLevel{{"DEVELOPMENT", &p.Development}, {"PREVIEW", &p.Preview}, {"STAGING", &p.Staging}, {"PRODUCTION", &p.Production}}
}

// read takes over what the server says. It tells of every project and cluster; what is the default is kept only where
// somebody wrote it.
func (m *roleModel) read(role api.CustomRole) {
	m.ID, m.Name, m.Description = types.StringValue(role.ID), types.StringValue(role.Name), describe(m.Description, role.Description)
	var own []string
	for _, it := range role.Permissions {
		// Every custom role reads its organization; it is not named among what a role may be given.
		if it != "organization:read" {
			own = append(own, it)
		}
	}
	sort.Strings(own)
	m.Permissions = textSet(own, m.Permissions)
	projects := map[string]projectRight{}
	for _, it := range role.ProjectPermissions {
		before, written := m.Projects[it.ProjectID]
		now := projectRight{Admin: types.BoolNull()}
		if it.IsAdmin || written && !before.Admin.IsNull() {
			now.Admin = types.BoolValue(it.IsAdmin)
		}
		differs := it.IsAdmin
		for at, slot := range now.levels() {
			level := noAccess
			for _, given := range it.Permissions {
				if given.Mode == slot.mode {
					level = given.Level
				}
			}
			said := before.levels()[at].level
			// Of an admin the levels do not count.
			switch {
			case it.IsAdmin:
				*slot.level = *said
			case level != noAccess:
				differs = true
				*slot.level = types.StringValue(level)
			case written && !said.IsNull():
				*slot.level = types.StringValue(level)
			}
		}
		if differs || written {
			projects[it.ProjectID] = now
		}
	}
	if len(projects) > 0 || m.Projects != nil {
		m.Projects = projects
	}
	clusters := map[string]types.String{}
	for _, it := range role.ClusterPermissions {
		if _, written := m.Clusters[it.ClusterID]; written || it.Level != clusterViewer {
			clusters[it.ClusterID] = types.StringValue(it.Level)
		}
	}
	if len(clusters) > 0 || m.Clusters != nil {
		m.Clusters = clusters
	}
}

func (r *roleResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan roleModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	fields := api.Fields{"name": plan.Name.ValueString(), "permissions": texts(ctx, plan.Permissions, &response.Diagnostics)}
	if !plan.Description.IsNull() {
		fields["description"] = plan.Description.ValueString()
	}
	role, err := r.of.CreateRole(ctx, fields)
	if id, taken := api.Taken(err); taken {
		role, err = adopted(ctx, r.of, id, err, func(id string) (api.CustomRole, error) { return r.of.CustomRole(ctx, id) }, func(it api.CustomRole) bool {
			// A run that was killed has made it without rights on projects and clusters, or has given it those that are wanted.
			now, bare := plan, plan
			bare.Projects, bare.Clusters = nil, nil
			now.read(it)
			bare.read(it)
			return now.Name == plan.Name && now.Description == plan.Description && now.Permissions.Equal(plan.Permissions) &&
				(now.sameRights(plan) || len(bare.Projects)+len(bare.Clusters) == 0)
		})
	}
	if err != nil {
		tell(&response.Diagnostics, "The role cannot be made", err)
		return
	}
	if len(plan.Projects)+len(plan.Clusters) > 0 {
		// It is there: should its rights be refused, the state knows it.
		made := roleModel{ID: types.StringValue(role.ID), Name: plan.Name, Description: plan.Description, Permissions: plan.Permissions, MoveHoldersTo: plan.MoveHoldersTo}
		response.Diagnostics.Append(response.State.Set(ctx, made)...)
		role, err = r.of.EditRole(ctx, plan.fields(ctx, role, &response.Diagnostics))
		if err != nil {
			tell(&response.Diagnostics, "The role was made, without its rights on projects and clusters", err)
			return
		}
	}
	plan.read(role)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *roleResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state roleModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	role, err := r.of.CustomRole(ctx, state.ID.ValueString())
	if err != nil {
		r.unread(ctx, response, "role", err)
		return
	}
	state.read(role)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *roleResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state roleModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}) {
		return
	}
	if plan.Name.Equal(state.Name) && plan.Description.Equal(state.Description) && plan.Permissions.Equal(state.Permissions) && plan.sameRights(state) {
		// Who gets its holders is known here alone.
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	role, err := r.of.CustomRole(ctx, state.ID.ValueString())
	if err == nil {
		role, err = r.of.EditRole(ctx, plan.fields(ctx, role, &response.Diagnostics))
	}
	if err != nil {
		tell(&response.Diagnostics, "The role cannot be changed", err)
		return
	}
	plan.read(role)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *roleResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state roleModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	moveTo := ""
	if wanted := state.MoveHoldersTo.ValueString(); wanted != "" {
		other, err := roleID(ctx, r.of, wanted)
		if err != nil {
			response.Diagnostics.AddAttributeError(path.Root("move_holders_to"), "The role cannot be deleted", err.Error())
			return
		}
		moveTo = other.ID
	}
	err := r.of.DeleteRole(ctx, state.ID.ValueString(), moveTo)
	if err != nil && !r.lost(ctx, &response.Diagnostics, "deleted", "role", err) && moveTo == "" && api.Coded(err, "conflict") {
		response.Diagnostics.AddWarning("The role is in use", "The core destroys a role before it gives its holders another one. Say `move_holders_to` and apply once, or use `create_before_destroy`.")
	}
}

func (r *roleResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "role", path.Root("id"), func(wanted string) (string, error) {
		role, err := roleID(ctx, r.of, wanted)
		return role.ID, err
	})
}
