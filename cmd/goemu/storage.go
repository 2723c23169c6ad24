package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/export"
	"goemu/block/export/nbd"
	"goemu/internal/chardev"
	"goemu/internal/getopt"
	"goemu/internal/mainloop"
	"goemu/internal/tool"
	"goemu/qapi"
)

// storageDaemon is one run of qemu-storage-daemon: disks and exports without a machine.
type storageDaemon struct {
	*tool.Tool
	args    []string
	drives  *driver.Drives
	exports *export.List
	nbd     *nbd.Control
	chars   *chardev.Set
	pidFile string
	quit    chan struct{} // closed when a signal came
}

// Values of the options that have no letter.
const (
	storageBlockdev = iota + 256
	storageChardev
	storageDaemonize
	storageExport
	storageNBDServer
	storageObject
	storagePidFile
)

var storageOptions = []getopt.Long{
	{Name: "blockdev", Arg: true, Val: storageBlockdev}, {Name: "chardev", Arg: true, Val: storageChardev},
	{Name: "daemonize", Val: storageDaemonize}, {Name: "export", Arg: true, Val: storageExport}, {Name: "help", Val: 'h'},
	{Name: "nbd-server", Arg: true, Val: storageNBDServer}, {Name: "object", Arg: true, Val: storageObject},
	{Name: "pidfile", Arg: true, Val: storagePidFile}, {Name: "trace", Arg: true, Val: 'T'}, {Name: "version", Val: 'V'},
}

// storageMain runs the tool; args[0] is its name. It returns the exit status.
func storageMain(t *tool.Tool, args []string) int {
	defer t.Out.Flush()
	d := &storageDaemon{Tool: t, args: args, drives: driver.NewDrives(), quit: make(chan struct{})}
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
	d.chars = chardev.NewSet(mainloop.Main, chardev.Hooks{Exit: d.end})
	d.exports = export.NewList(d.Graph)
	d.nbd = &nbd.Control{Graph: d.Graph, List: d.exports, Report: func(text string) { d.Errorf("%s", text) }}
	defer d.close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	if done, status := d.eachOption(d.late); done {
		return status
	}
	removePID, err := writePID(d.pidFile)
	if err != nil {
		d.Errorf("%v", err)
		return 1
	}
	defer removePID()
	d.Out.Flush()
	if err := reportReady(); err != nil {
		d.Errorf("%v", err)
		return 1
	}
	select {
	case <-signals:
	case <-d.quit:
	}
	return 0
}

func (d *storageDaemon) end() { close(d.quit) }

// close ends everything that uses the disks.
func (d *storageDaemon) close() {
	d.exports.CloseAll("")
	if d.nbd.Running() {
		_ = d.nbd.Stop()
	}
	_ = d.drives.Close()
	d.chars.Close()
}

// late handles the options that make something.
func (d *storageDaemon) late(v int, value, where string) (done bool, status int) {
	var err error
	switch v {
	case getopt.Operand:
		err = fmt.Errorf("Unexpected argument")
	case storageObject:
		return d.AddObjectAt(where+": ", value)
	case storageChardev:
		if value == "help" {
			d.Printf("%s", chardev.Help())
			return true, 0
		}
		err = d.addChardev(value)
	case storageBlockdev:
		err = d.addBlockdev(value)
	case storageNBDServer:
		err = d.startNBD(value)
	case storageExport:
		err = d.addExport(value)
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
	spec.Notify = notice
	for _, w := range spec.Warnings {
		warn(w)
	}
	_, err = d.chars.Open(spec)
	if err == nil && spec.Notice != "" {
		notice(spec.Notice)
	}
	return err
}

// members reads an option in either syntax.
func members(text, implied string) (*qapi.Object, error) {
	if !strings.HasPrefix(text, "{") {
		return qapi.ParseKeyval(text, implied)
	}
	v, err := qapi.ParseJSON(text)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*qapi.Object)
	if !ok {
		return nil, qapi.Errorf("Invalid parameter type, expected: object")
	}
	return o, nil
}

func (d *storageDaemon) addBlockdev(text string) error {
	o, err := members(text, "driver")
	if err != nil {
		return err
	}
	return d.drives.AddBlockdev(string(qapi.AppendJSON(nil, o)))
}

func (d *storageDaemon) startNBD(text string) error {
	o, err := members(text, "")
	if err != nil {
		return err
	}
	return d.nbd.Start(d.Ctx, block.OptionsFromJSON(o.Map()))
}

func (d *storageDaemon) addExport(text string) error {
	o, err := members(text, "type")
	if err != nil {
		return err
	}
	switch kind, ok := o.Get("type"); {
	case !ok:
		return qapi.Errorf("Parameter 'type' is missing")
	case kind != nbd.Kind:
		return qapi.Errorf("Parameter 'type' does not accept value '%v'", kind)
	}
	o.Delete("type")
	d.Graph.Lock()
	defer d.Graph.Unlock()
	return d.nbd.Add(d.Ctx, block.OptionsFromJSON(o.Map()))
}
