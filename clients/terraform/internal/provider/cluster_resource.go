package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type clusterResource struct{ managed }

func newClusterResource() resource.Resource { return &clusterResource{} }

var _ resource.ResourceWithImportState = (*clusterResource)(nil)

type clusterModel struct {
	ID            types.String `tfsdk:"id"`
	Name          types.String `tfsdk:"name"`
	Description   types.String `tfsdk:"description"`
	Region        types.String `tfsdk:"region"`
	CloudProvider types.String `tfsdk:"cloud_provider"`
}

func (r *clusterResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_cluster"
}

func (r *clusterResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "A cluster: where environments run.",
		Attributes: map[string]schema.Attribute{
			"id":             idAttribute(),
			"name":           schema.StringAttribute{Required: true},
			"description":    schema.StringAttribute{Optional: true},
			"region":         schema.StringAttribute{Required: true, MarkdownDescription: "Where it is, in the provider's own word."},
			"cloud_provider": schema.StringAttribute{Required: true, MarkdownDescription: "Such as `AWS`, `GCP`, `AZURE` or `ON_PREMISE`."},
		},
	}
}

func (m clusterModel) fields() api.Fields {
	return api.Fields{"name": m.Name.ValueString(), "description": m.Description.ValueString(), "region": m.Region.ValueString(), "cloud_provider": m.CloudProvider.ValueString()}
}

func (m *clusterModel) read(it api.Cluster) {
	m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), describe(m.Description, it.Description)
	m.Region, m.CloudProvider = types.StringValue(it.Region), types.StringValue(it.CloudProvider)
}

func (r *clusterResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan clusterModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	it, err := r.of.CreateCluster(ctx, plan.fields())
	if api.Faulty(err, "name") {
		// Of a cluster the refusal does not say which one has the name.
		if holder, unfound := findCluster(ctx, r.of, plan.Name.ValueString()); unfound == nil {
			it, err = adopted(ctx, r.of, holder.ID, err, func(string) (api.Cluster, error) { return holder, nil }, func(it api.Cluster) bool {
				now := plan
				now.read(it)
				now.ID = plan.ID
				return now == plan
			})
		}
	}
	if err != nil {
		tell(&response.Diagnostics, "The cluster cannot be made", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *clusterResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state clusterModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	it, err := r.known(ctx, state.ID.ValueString())
	if err != nil {
		r.unread(ctx, response, "cluster", err)
		return
	}
	state.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

// known is one as it was since this run last wrote something. A list without it says the same as a 404: whether it is gone depends on
// who asks.
func (r *clusterResource) known(ctx context.Context, id string) (api.Cluster, error) {
	all, err := r.of.KnownClusters(ctx)
	if err != nil {
		return api.Cluster{}, err
	}
	for _, it := range all {
		if it.ID == id {
			return it, nil
		}
	}
	return api.Cluster{}, api.Absent("cluster")
}

func (r *clusterResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan clusterModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	it, err := r.known(ctx, plan.ID.ValueString())
	if err == nil {
		it, err = r.of.EditCluster(ctx, it.ID, it.ETag, plan.fields())
	}
	if err != nil {
		tell(&response.Diagnostics, "The cluster cannot be changed", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *clusterResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state clusterModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	r.deleted(ctx, response, "cluster", r.of.DeleteCluster(ctx, state.ID.ValueString()))
}

func (r *clusterResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "cluster", path.Root("id"), func(wanted string) (string, error) {
		it, err := findCluster(ctx, r.of, wanted)
		return it.ID, err
	})
}

func findCluster(ctx context.Context, of *api.Of, wanted string) (api.Cluster, error) {
	all, err := of.KnownClusters(ctx)
	if err != nil {
		return api.Cluster{}, err
	}
	return byName(all, wanted, "cluster", func(it api.Cluster) (string, string) { return it.ID, it.Name })
}
