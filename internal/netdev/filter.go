package netdev

import (
	"slices"
)

// Direction is which frames a filter sees, from the netdev's point of view.
type Direction uint8

// The directions: rx are frames that the netdev receives, tx those that it sends.
const (
	All Direction = iota
	RX
	TX
)

// Filter is an object in the way of a netdev's frames.
type Filter struct {
	ID, Type string
	Dir      Direction
	// Pass sees a frame, which is the caller's again when it returns, and tells whether the filter has taken it. sender is the client that
	// sent the frame; nil stands for a frame that a filter made.
	Pass func(sender *Client, data []byte, tx bool) (taken bool)
	// Info are the properties for info network.
	Info func() string
	// Off switches the filter off for a time.
	Off func() bool
	// Gone says that the filter goes with its netdev; nil if nobody wants to know.
	Gone func()

	client *Client
}

// Client is the netdev that the filter belongs to.
func (f *Filter) Client() *Client { return f.client }

func (f *Filter) sees(tx bool) bool {
	if f.Off != nil && f.Off() {
		return false
	}
	return f.Dir == All || tx == (f.Dir == TX)
}

// runFilters shows a frame to the filters of a netdev in order, in reverse for frames to it. after, if set, is the filter to go on behind.
func runFilters(list []*Filter, sender *Client, data []byte, tx bool, after *Filter) (taken bool) {
	from := 0
	if !tx {
		from = len(list) - 1
	}
	step := func(i int) int {
		if tx {
			return i + 1
		}
		return i - 1
	}
	if after != nil {
		from = step(slices.Index(list, after))
	}
	for i := from; i >= 0 && i < len(list); i = step(i) {
		if f := list[i]; f.sees(tx) && f.Pass(sender, data, tx) {
			return true
		}
	}
	return false
}

// PassOn sends a frame that a filter held on its way, behind the filter.
func (f *Filter) PassOn(sender *Client, data []byte, tx bool) bool {
	c := f.client
	if l := c.filters.Load(); l != nil && runFilters(*l, sender, data, tx, f) {
		return true
	}
	to := c
	if tx {
		to = c.peer.Load()
	}
	return to == nil || to.deliver(data, nil)
}

// Attach puts a filter on a netdev: "tail", "head", or next to the filter before, in front of it or behind.
func (c *Client) Attach(f *Filter, at *Filter, behind, head bool) {
	f.client = c
	var list []*Filter
	if l := c.filters.Load(); l != nil {
		list = slices.Clone(*l)
	}
	i := len(list)
	switch {
	case at != nil:
		i = slices.Index(list, at)
		if behind {
			i++
		}
	case head:
		i = 0
	}
	list = slices.Insert(list, i, f)
	c.filters.Store(&list)
}

// Detach takes a filter off its netdev.
func (f *Filter) Detach() {
	l := f.client.filters.Load()
	if l == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*l), func(x *Filter) bool { return x == f })
	if len(list) == 0 {
		f.client.filters.Store(nil)
		return
	}
	f.client.filters.Store(&list)
}

// Filters are the filters of a netdev in order.
func (c *Client) Filters() []*Filter {
	if l := c.filters.Load(); l != nil {
		return *l
	}
	return nil
}
