package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/chardev"
	"goemu/internal/getopt"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/blockcmd"
	"goemu/internal/monitor/chardevcmd"
	"goemu/internal/monitor/qmp"
	"goemu/internal/monitor/qomcmd"
	"goemu/internal/monitor/runcmd"
	"goemu/internal/qom"
	"goemu/internal/tool"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// storageDaemon is one run of qemu-storage-daemon: disks, jobs and exports without a machine.
type storageDaemon struct {
	*tool.Tool
	args    []string
	drives  *driver.Drives
	chars   *chardev.Set
	server  *qmp.Server
	block   *blockcmd.Service
	pidFile string
	ended   sync.Once
	quit    chan struct{} // closed when a client or a device asked for the end
	idle    chan struct{} // closed when jobs and exports are no more
}

// Values of the options that have no letter.
const (
	storageBlockdev = iota + 256
	storageChardev
	storageDaemonize
	storageExport
	storageMonitor
	storageNBDServer
	storageObject
	storagePidFile
)

var storageOptions = []getopt.Long{
	{Name: "blockdev", Arg: true, Val: storageBlockdev}, {Name: "chardev", Arg: true, Val: storageChardev},
	{Name: "daemonize", Val: storageDaemonize}, {Name: "export", Arg: true, Val: storageExport}, {Name: "help", Val: 'h'},
	{Name: "monitor", Arg: true, Val: storageMonitor}, {Name: "nbd-server", Arg: true, Val: storageNBDServer}, {Name: "object", Arg: true, Val: storageObject},
	{Name: "pidfile", Arg: true, Val: storagePidFile}, {Name: "trace", Arg: true, Val: 'T'}, {Name: "version", Val: 'V'},
}

// storageMain runs the tool; args[0] is its name. It returns the exit status.
func storageMain(t *tool.Tool, args []string) int {
	defer t.Out.Flush()
	d := &storageDaemon{Tool: t, args: args, drives: driver.NewDrives(), quit: make(chan struct{}), idle: make(chan struct{})}
	t.Graph = d.drives.Graph
	addObjects(t)
	t.Graph.Warn = func(text string) { t.Warnf("%s", text) }
	daemon, status, done := d.early()
	if done {
		return status
	}
	if daemon && !isDaemon() {
		status, err := daemonize()
		if err != nil {
			t.Errorf("%v", err)
			return 1
		}
		return status
	}
	return d.run()
}

// eachOption walks through the command line; where is the option as messages name it. It ends when f says so.
func (d *storageDaemon) eachOption(f func(v int, value, where string) (done bool, status int)) (done bool, status int) {
	p := getopt.New(d.args, "-hT:V", storageOptions, d.Err)
	for {
		before := p.Index
		v := p.Next()
		if v == getopt.End {
			return false, 0
		}
		if done, status := f(v, p.Value, strings.Join(p.Args[before:p.Index], " ")); done {
			return true, status
		}
	}
}

// early handles the options that do not depend on others.
func (d *storageDaemon) early() (daemon bool, status int, done bool) {
	done, status = d.eachOption(func(v int, value, _ string) (bool, int) {
		switch v {
		case getopt.Unknown:
			return true, 1
		case 'h':
			d.Printf(storageHelp, d.Command)
			return true, 0
		case 'V':
			d.Printf("qemu-storage-daemon version %s\n", tool.Version)
			return true, 0
		case storageDaemonize:
			daemon = true
		case storagePidFile:
			d.pidFile = value
		}
		return false, 0
	})
	return daemon, status, done
}

// run makes what the command line asks for, in its order, and waits for the end.
func (d *storageDaemon) run() int {
	ctx, cancel := context.WithCancel(d.Ctx)
	loop := make(chan error, 1)
	go func() { loop <- mainloop.Main.Run(ctx) }()
	defer func() { cancel(); <-loop }()
	d.chars = chardev.NewSet(mainloop.Main, chardev.Hooks{Exit: d.end, Tell: complain, Print: printLine})
	d.makeMonitors(ctx)
	defer d.close()
	d.server.Hold() // what clients ask for waits until all is there
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	done, status := d.eachOption(d.late)
	d.server.Release()
	if done {
		return status
	}
	removePID, err := writePID(d.pidFile)
	if err != nil {
		d.Errorf("%v", err)
		return 1
	}
	defer removePID()
	d.Out.Flush()
	if err := becomeReady(func() error { return nil }); err != nil {
		d.Errorf("%v", err)
		return 1
	}
	select {
	case <-signals:
	case <-d.quit:
	}
	return 0
}

// makeMonitors makes the services and binds the commands to them.
func (d *storageDaemon) makeMonitors(ctx context.Context) {
	r := qapi.NewRegistry()
	d.server = &qmp.Server{Registry: r, Version: version, Context: ctx}
	d.block = blockcmd.New(blockcmd.Config{
		Drives: d.drives, Loop: d.server.InBand(), Emit: d.server.Emit, Out: os.Stdout,
		IOThread: func(id string) bool { _, ok := d.Graph.Object(id).(*iothread.Thread); return ok },
		Settle:   func() { d.server.Settle(flushTime) },
		Report:   func(text string) { d.Errorf("%s", text) },
	})
	run := runcmd.NewService()
	run.Graph, run.Registry, run.Version, run.End = d.Graph, r, version, d.endByCommand
	chars := &chardevcmd.Service{Chardevs: d.chars}
	qapi.BindControl(r, run)
	qapi.BindIntrospect(r, run)
	qapi.BindChar(r, chars)
	qapi.BindQom(r, d.objectService())
	qapi.BindBlockCore(r, d.block)
	qapi.BindBlockExport(r, d.block)
	qapi.BindJob(r, d.block)
	qapi.BindTransaction(r, d.block)
}

// objectService has the commands about objects: there are the user's only.
func (d *storageDaemon) objectService() *qomcmd.Service {
	root := qom.Container()
	d.Objects.Plant(root.MustAdd("objects", qom.Container()))
	types := new(qom.Types)
	for _, t := range d.Objects.Types {
		types.AddChain(t.Name, t.Ancestors()...)
	}
	return &qomcmd.Service{Types: types, Root: func() *qom.Node { return root }, Objects: func() *userobj.Set { return d.Objects },
		Properties: func(typ string) (list []*qapi.ObjectPropertyInfo, err error) {
			list = append(list, &qapi.ObjectPropertyInfo{Name: "type", Type: "string"})
			if t := d.Objects.Type(typ); t != nil {
				for _, p := range t.Props {
					list = append(list, &qapi.ObjectPropertyInfo{Name: p.Name, Type: p.Type})
				}
			}
			return list, nil
		}}
}

func (d *storageDaemon) end() { d.ended.Do(func() { close(d.quit) }) }

// endByCommand is end for the command quit, which is answered when all jobs have ended.
func (d *storageDaemon) endByCommand() {
	d.server.Release()
	defer d.server.Hold()
	d.end()
	<-d.idle
}

// close ends everything that uses the disks.
func (d *storageDaemon) close() {
	d.block.Close()
	close(d.idle)
	d.server.Flush(flushTime)
	_ = d.drives.Close()
	d.chars.Close()
}

// late handles the options that make something.
func (d *storageDaemon) late(v int, value, where string) (done bool, status int) {
	warn := d.Graph.Warn
	d.Graph.Warn = func(text string) { d.Errorf("%s: warning: %s", where, text) }
	defer func() { d.Graph.Warn = warn }()
	var err error
	switch v {
	case getopt.Operand:
		err = fmt.Errorf("Unexpected argument")
	case 'T':
		return d.TraceAt(where+": ", value)
	case storageObject:
		return d.AddObjectAt(where+": ", value)
	case storageChardev:
		if value == "help" {
			d.Printf("%s", chardev.Help())
			return true, 0
		}
		err = d.addChardev(value)
	case storageBlockdev:
		err = d.command("blockdev-add", "BlockdevOptions", value, "driver")
	case storageNBDServer:
		err = d.startNBD(value)
	case storageExport:
		err = d.command("block-export-add", "BlockExportOptions", value, "type")
	case storageMonitor:
		err = d.openMonitor(value)
	}
	if err == nil {
		return false, 0
	}
	d.Report(where+": ", err)
	return true, 1
}

func (d *storageDaemon) addChardev(text string) error {
	spec, err := chardev.Parse(text)
	if err != nil {
		return err
	}
	if _, taken := d.chars.Find(spec.ID); taken { // found out later than in the emulator
		return fmt.Errorf("attempt to add duplicate property '%s' to object (type 'container')", spec.ID)
	}
	spec.Origin = "--chardev " + text
	_, err = d.chars.OpenOption(spec)
	return err
}

// command runs a monitor command with an option as its argument.
func (d *storageDaemon) command(name, typeName, text, implied string) error {
	o, err := qapi.ParseOption(typeName, text, implied)
	if err != nil {
		return err
	}
	_, err = d.server.Registry.Find(name).Call(d.Ctx, o)
	return err
}

func (d *storageDaemon) openMonitor(text string) error {
	o, err := qapi.ParseOption("MonitorOptions", text, "chardev")
	if err != nil {
		return err
	}
	var m qapi.MonitorOptions
	if err := qapi.Decode("MonitorOptions", o, &m); err != nil {
		return err
	}
	b, ok := d.chars.Find(m.Chardev)
	switch {
	case !ok:
		return qapi.Errorf("chardev \"%s\" not found", m.Chardev)
	case m.Mode != nil && *m.Mode == qapi.MonitorModeReadline:
		return qapi.Errorf("Only QMP is supported")
	}
	_, err = d.server.Open(b, m.Pretty != nil && *m.Pretty)
	return err
}

func (d *storageDaemon) startNBD(text string) error {
	o, err := qapi.ParseOption("NbdServerOptions", text, "")
	if err == nil {
		err = qapi.Decode("NbdServerOptions", o, nil)
	}
	if err != nil {
		return err
	}
	return d.block.NBD.Start(d.Ctx, block.OptionsFromJSON(o.Map()))
}
