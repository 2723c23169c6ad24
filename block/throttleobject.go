package block

import (
	"strings"

	"golang.org/x/sys/unix"
)

// bucketNames are the names of the limits in options, by number.
var bucketNames = [bucketCount]string{"bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write"}

// TakeThrottleConfig takes the limits of an object of type throttle-group: "limits.bps-total", "limits.bps-total-max",
// "limits.bps-total-max-length", …, "limits.iops-size", or the same with "x-" in place of "limits.".
func TakeThrottleConfig(o *Options) (c ThrottleConfig, err error) {
	c = NewThrottleConfig()
	take := func(name string, to *uint64) {
		for _, prefix := range []string{"limits.", "x-"} {
			if err == nil && o.Has(prefix+name) {
				*to, err = o.TakeUint(prefix+name, 0)
			}
		}
	}
	for i, name := range bucketNames {
		b := &c.Buckets[i]
		take(name, &b.Avg)
		take(name+"-max", &b.Max)
		take(name+"-max-length", &b.Length)
	}
	take("iops-size", &c.OpSize)
	if err != nil {
		return c, err
	}
	for _, name := range o.Order() {
		if strings.HasPrefix(name, "limits.") {
			return c, Errorf(unix.EINVAL, "Parameter '%s' is unexpected", name)
		}
	}
	return c, c.Check()
}

// MakeThrottleGroup makes an object of type throttle-group.
func MakeThrottleGroup(id string, o *Options) (*ThrottleGroup, error) {
	c, err := TakeThrottleConfig(o)
	if err != nil {
		return nil, err
	}
	g := NewThrottleGroup(id)
	return g, g.SetConfig(c)
}
