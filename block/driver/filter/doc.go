// Package filter holds the small filter drivers: copy-on-read, compress, preallocate and throttle. Each hands requests to the node below and does one
// thing more.
package filter

import "goemu/block"

// Drivers are the filters of this package.
var Drivers = []*block.Driver{copyOnReadDriver(), compressDriver, preallocateDriver, throttleDriver}

// passing sets the limits of a filter that hands every request on as it is.
func passing(l, below *block.Limits) {
	l.RequestAlign = below.RequestAlign
	l.WriteFlags = block.Unchanged | block.FUA&below.WriteFlags
	l.ZeroFlags = block.Unchanged | (block.FUA|block.MayUnmap|block.NoFallback)&below.ZeroFlags
}
