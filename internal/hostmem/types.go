package hostmem

import (
	"errors"
	"fmt"
	"slices"

	"goemu/internal/userobj"
)

// Types are the types of backends. cpus, merge and dump are what the machine says: its number of CPUs (of prealloc-threads), its properties
// mem-merge and dump-guest-core.
func Types(defaults func() Defaults) []*userobj.Type {
	var out []*userobj.Type
	for _, k := range []kind{anonymous, file, memfd} {
		t := &userobj.Type{Name: k.name(), Parents: []string{"memory-backend"}, Late: true, Props: slices.Clone(common), New: func(id string) userobj.Object {
			d := defaults()
			b := &Backend{id: id, kind: k, merge: d.Merge, dump: d.Dump, reserve: true, threads: uint64(max(d.CPUs, 1)), policy: "default"}
			if k == memfd {
				b.share, b.seal = true, true
			}
			return b
		}}
		switch k {
		case file:
			t.Props = append(t.Props, ofFile...)
		case memfd:
			t.Props = append(t.Props, ofMemfd...)
		}
		out = append(out, t)
	}
	return out
}

// Defaults are what a machine says about its memory.
type Defaults struct {
	CPUs        int
	Merge, Dump bool
}

// fixed refuses changes of memory that is there.
func fixed[T any](name string) func(b *Backend, _ T) error {
	return func(b *Backend, _ T) error {
		if b.block != nil {
			return fmt.Errorf("cannot change property %s of %s ", name, b.kind.name())
		}
		return nil
	}
}

func notZero(name string) func(b *Backend, v uint64) error {
	return func(b *Backend, v uint64) error {
		if v == 0 {
			return fmt.Errorf("property '%s' of %s doesn't take value '0'", name, b.kind.name())
		}
		return fixed[uint64](name)(b, v)
	}
}

var common = []userobj.Property{
	userobj.Field("dump", "bool", "Set to 'off' to exclude from core dump", func(b *Backend) *bool { return &b.dump }, (*Backend).setDump),
	{Name: "host-nodes", Type: "int", Desc: "Binds memory to the list of NUMA host nodes", Get: func(o userobj.Object) any { return o.(*Backend).nodeList() },
		Set: func(o userobj.Object, v any) error { return o.(*Backend).setNodes(v) }},
	userobj.Field("merge", "bool", "Mark memory as mergeable", func(b *Backend) *bool { return &b.merge }, (*Backend).setMerge),
	userobj.Field("policy", "HostMemPolicy", "Set the NUMA policy", func(b *Backend) *string { return &b.policy }, nil),
	userobj.Field("prealloc-threads", "int", "Number of CPU threads to use for prealloc", func(b *Backend) *uint64 { return &b.threads }, func(b *Backend, v uint64) error {
		if uint32(v) == 0 {
			return fmt.Errorf("property 'prealloc-threads' of %s doesn't take value '0'", b.kind.name())
		}
		return nil
	}),
	userobj.Field("prealloc", "bool", "Preallocate memory", func(b *Backend) *bool { return &b.prealloc }, (*Backend).setPrealloc),
	userobj.Field("reserve", "bool", "Reserve swap space (or huge pages) if applicable", func(b *Backend) *bool { return &b.reserve }, func(b *Backend, v bool) error {
		if b.prealloc && !v {
			return errors.New("'prealloc=on' and 'reserve=off' are incompatible")
		}
		return fixed[bool]("reserve")(b, v)
	}),
	userobj.Field("share", "bool", "Mark the memory as private to QEMU or shared", func(b *Backend) *bool { return &b.share }, fixed[bool]("share")),
	userobj.Field("size", "int", "Size of the memory region (ex: 500M)", func(b *Backend) *uint64 { return &b.size }, notZero("size")),
	userobj.Field("x-use-canonical-path-for-ramblock-id", "bool", "", func(b *Backend) *bool { return &b.longName }, nil),
}

var ofFile = []userobj.Property{
	userobj.Field("align", "int", "", func(b *Backend) *uint64 { return &b.align }, fixed[uint64]("align")),
	userobj.Field("discard-data", "bool", "", func(b *Backend) *bool { return &b.discard }, nil),
	userobj.Field("mem-path", "string", "", func(b *Backend) *string { return &b.path }, fixed[string]("'mem-path'")),
	userobj.Field("readonly", "bool", "", func(b *Backend) *bool { return &b.readOnly }, fixed[bool]("'readonly'")),
}

var ofMemfd = []userobj.Property{
	userobj.Field("hugetlb", "bool", "Use huge pages", func(b *Backend) *bool { return &b.huge }, nil),
	userobj.Field("hugetlbsize", "int", "Huge pages size (ex: 2M, 1G)", func(b *Backend) *uint64 { return &b.hugeSize }, func(b *Backend, v uint64) error {
		if v == 0 {
			return errors.New("Property 'memory-backend-memfd.hugetlbsize' doesn't take value '0'")
		}
		return nil
	}),
	userobj.Field("seal", "bool", "Seal growing & shrinking", func(b *Backend) *bool { return &b.seal }, nil),
}
