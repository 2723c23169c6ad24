package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"goemu/block"
	"goemu/block/driver"
	"goemu/cmd/goemu/img"
	"goemu/cmd/goemu/nbd"
	"goemu/cmd/goemu/qio"
	"goemu/internal/iothread"
	"goemu/internal/secret"
	"goemu/internal/tlscreds"
	"goemu/internal/tool"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// toolRow is a tool that is called by its own name (a link to the program) or as a subcommand.
type toolRow struct {
	name, verb, short string
	main              func(t *tool.Tool, args []string) int
}

var tools = []toolRow{
	{"qemu-img", "img", "Create, convert, check and change disk images", img.Main},
	{"qemu-io", "io", "Read and write disk images by commands", qio.Main},
	{"qemu-nbd", "nbd", "Export disk images over the network", nbd.Main},
	{"qemu-storage-daemon", "storage-daemon", "Export disk images and run block jobs without a machine", storageMain},
}

// runTool runs the tool and does not return.
func (r *toolRow) runTool(name string, args []string) {
	runtime.UnlockOSThread()
	t := tool.New(name, driver.All())
	if name == r.name {
		t.Command = os.Args[0]
	}
	addObjects(t)
	os.Exit(r.main(t, append([]string{name}, args...)))
}

// toolNamed finds the tool that the program was called as, or nil.
func toolNamed(name string) *toolRow {
	for i := range tools {
		if tools[i].name == name {
			return &tools[i]
		}
	}
	return nil
}

// toolCommands are the subcommands of the tools. Their options are not cobra's.
func toolCommands() (cmds []*cobra.Command) {
	for i := range tools {
		r := &tools[i]
		cmds = append(cmds, &cobra.Command{Use: r.verb, Short: r.short, DisableFlagParsing: true,
			Run: func(_ *cobra.Command, args []string) { r.runTool("goemu "+r.verb, args) }})
	}
	return cmds
}

// addObjects gives a tool the user-creatable objects.
func addObjects(t *tool.Tool) {
	set := tlscreds.Set{}
	t.Objects = tool.Objects{}
	for kind := range tlscreds.Makers {
		t.Objects[kind] = func(id string, o *block.Options) error { return set.Add(kind, id, o) }
	}
	t.Objects["throttle-group"] = func(id string, o *block.Options) error {
		g, err := block.MakeThrottleGroup(id, o)
		if err == nil {
			err = set.Put(id, g)
		}
		return err
	}
	secrets := new(userobj.Set)
	secrets.Types = []*userobj.Type{secret.Type(secrets.Find)}
	t.Objects["secret"] = func(id string, o *block.Options) error {
		s, err := makeSecret(secrets, id, o)
		if err == nil {
			err = set.Put(id, s)
		}
		return err
	}
	threads := iothread.Type()
	t.Objects[threads.Name] = func(id string, o *block.Options) error {
		thread := threads.New(id)
		for _, p := range threads.Props {
			if !o.Has(p.Name) {
				continue
			}
			n, err := o.TakeUint(p.Name, 0)
			if err == nil {
				err = p.Set(thread, int64(n))
			}
			if err != nil {
				return err
			}
		}
		if err := thread.(*iothread.Thread).Complete(); err != nil {
			return err
		}
		return set.Put(id, thread)
	}
	t.Graph.Object = func(id string) any { return set[id] }
}

// makeSecret makes an object of type secret in a set.
func makeSecret(set *userobj.Set, id string, o *block.Options) (any, error) {
	pairs := [][2]string{{"qom-type", "secret"}, {"id", id}}
	for _, name := range o.Names() {
		if !slices.ContainsFunc(set.Types[0].Props, func(p userobj.Property) bool { return p.Name == name }) {
			return nil, fmt.Errorf("Parameter '%s' is unexpected", name)
		}
		v, _ := o.TakeString(name)
		pairs = append(pairs, [2]string{name, v})
	}
	members, err := qapi.FromOpts("ObjectOptions", pairs)
	if err == nil {
		err = qapi.Decode("ObjectOptions", members, nil)
	}
	if err == nil {
		err = set.Add(members)
	}
	return set.Find(id), err
}
