package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Event says who has done something to an object, and when.
type Event struct {
	At      time.Time `json:"timestamp"`
	ActorID string    `json:"actor_id"`
}

// An object that an interrupted run has made is not older than this.
const unfinished = time.Hour

// Interrupted says whether an object is what a killed run of this same token has made: less than an hour ago, before this run
// began, and nobody else has touched it since. Where the events cannot be read, it is not.
func (o *Of) Interrupted(ctx context.Context, id string) bool {
	self, err := o.Self(ctx)
	if err != nil {
		return false
	}
	var all struct {
		Links  struct{ Next *string }
		Events []Event
	}
	if _, err := o.do(ctx, call{method: http.MethodGet, path: o.path("events") + "?targetId=" + url.QueryEscape(id)}, &all); err != nil {
		return false
	}
	// Of one that has more events than a page somebody knows already.
	if len(all.Events) == 0 || all.Links.Next != nil {
		return false
	}
	for _, it := range all.Events {
		if it.ActorID != self.ID || !o.Unfinished(it.At) {
			return false
		}
	}
	return true
}

// Unfinished says whether a moment is of a run before this one that a killed apply may have been.
func (c *Client) Unfinished(at time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return at.Before(c.began) && c.began.Sub(at) < unfinished
}
