package main

import (
	"errors"

	"goemu/block"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// throttleObject is an object of type throttle-group.
type throttleObject struct {
	id    string
	limit block.ThrottleConfig
	group *block.ThrottleGroup // nil until complete
}

// Complete implements userobj.Object.
func (t *throttleObject) Complete() error {
	if err := t.limit.Check(); err != nil {
		return err
	}
	t.group = block.NewThrottleGroup(t.id)
	return t.group.SetConfig(t.limit)
}

// Close implements userobj.Object.
func (t *throttleObject) Close() {}

// InUse implements userobj.InUse: groups with members stay.
func (t *throttleObject) InUse() bool { return t.group != nil && t.group.Members() > 0 }

// Value implements userobj.Stand.
func (t *throttleObject) Value() any { return t.group }

// throttleNames are the limits by number; of each there are also the names with -max and -max-length.
var throttleNames = []string{"bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write"}

// eachThrottle calls f for every limit by its name.
func eachThrottle(f func(name string, at func(*block.ThrottleConfig) *uint64)) {
	for i, n := range throttleNames {
		f(n, func(c *block.ThrottleConfig) *uint64 { return &c.Buckets[i].Avg })
		f(n+"-max", func(c *block.ThrottleConfig) *uint64 { return &c.Buckets[i].Max })
		f(n+"-max-length", func(c *block.ThrottleConfig) *uint64 { return &c.Buckets[i].Length })
	}
	f("iops-size", func(c *block.ThrottleConfig) *uint64 { return &c.OpSize })
}

// setLimits replaces limits by those named, at any time.
func (t *throttleObject) setLimits(v any) error {
	o, ok := v.(*qapi.Object)
	if !ok {
		return errors.New("Invalid parameter type for 'limits', expected: object")
	}
	if err := qapi.Decode("ThrottleLimits", o, nil); err != nil {
		return err
	}
	c := t.limit
	var err error
	eachThrottle(func(name string, at func(*block.ThrottleConfig) *uint64) {
		if v, ok := o.Get(name); ok && err == nil {
			*at(&c), err = userobj.Take[uint64](name, v)
		}
	})
	if err == nil {
		err = c.Check()
	}
	if err == nil && t.group != nil {
		err = t.group.SetConfig(c)
	}
	if err == nil {
		t.limit = c
	}
	return err
}

func (t *throttleObject) limits() any {
	o := new(qapi.Object)
	eachThrottle(func(name string, at func(*block.ThrottleConfig) *uint64) { o.Set(name, *at(&t.limit)) })
	return o
}

func throttleType() *userobj.Type {
	t := &userobj.Type{Name: "throttle-group", New: func(id string) userobj.Object { return &throttleObject{id: id, limit: block.NewThrottleConfig()} },
		Props: []userobj.Property{{Name: "limits", Type: "ThrottleLimits", Get: func(o userobj.Object) any { return o.(*throttleObject).limits() },
			Set: func(o userobj.Object, v any) error { return o.(*throttleObject).setLimits(v) }}}}
	eachThrottle(func(name string, at func(*block.ThrottleConfig) *uint64) {
		t.Props = append(t.Props, userobj.Field("x-"+name, "int", "", func(o *throttleObject) *uint64 { return at(&o.limit) }, func(o *throttleObject, _ uint64) error {
			if o.group != nil {
				return errors.New("Property cannot be set after initialization")
			}
			return nil
		}))
	})
	return t
}
