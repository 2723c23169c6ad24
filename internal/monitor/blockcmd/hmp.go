package blockcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/monitor/hmp"
	"goemu/internal/sockaddr"
	"goemu/internal/tool"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// HMP lists the commands for people.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "commit", Args: "device:B", Params: "device|all", Help: "commit changes to the disk images (if -snapshot is used) or backing files", Run: s.hmpCommit},
		{Name: "block_resize", Args: "device:B,size:o", Params: "device size", Help: "resize a block image", Run: s.hmpResize},
		{Name: "block_stream", Args: "device:B,speed:o?,base:s?", Params: "device [speed [base]]", Help: "copy data from a backing file into a block device", Run: s.hmpStream},
		{Name: "block_job_set_speed", Args: "device:B,speed:o", Params: "device speed", Help: "set maximum speed for a background block operation", Run: s.hmpJobSpeed},
		{Name: "block_job_cancel", Args: "force:-f,device:B", Params: "[-f] device",
			Help: "stop an active background block operation (use -f\n\t\t\t if you want to abort the operation immediately\n\t\t\t instead of keep running until data is in sync)", Run: s.hmpJobCancel},
		{Name: "block_job_complete", Args: "device:B", Params: "device", Help: "stop an active background block operation", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.BlockJobComplete(m.Context(), &qapi.BlockJobCompleteArg{Device: a.Text("device")})
		}},
		{Name: "block_job_pause", Args: "device:B", Params: "device", Help: "pause an active background block operation", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.BlockJobPause(m.Context(), &qapi.BlockJobPauseArg{Device: a.Text("device")})
		}},
		{Name: "block_job_resume", Args: "device:B", Params: "device", Help: "resume a paused background block operation", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.BlockJobResume(m.Context(), &qapi.BlockJobResumeArg{Device: a.Text("device")})
		}},
		{Name: "eject", Args: "force:-f,device:B", Params: "[-f] device", Help: "eject a removable medium (use -f to force it)", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.Eject(m.Context(), &qapi.EjectArg{Device: some(a.Text("device")), Force: some(a.Bool("force"))})
		}},
		{Name: "change", Args: "device:B,force:-f,target:F,arg:s?,read-only-mode:s?", Params: "device [-f] filename [format [read-only-mode]]",
			Help: "change a removable medium, optional format, use -f to force the operation", Run: s.hmpChange},
		{Name: "drive_add", Args: "node:-n,pci_addr:s,opts:s", Params: "[-n] [[<domain>:]<bus>:]<slot>\n[file=file][,if=type][,bus=n]\n[,unit=m][,media=d][,index=i]\n[,snapshot=on|off][,cache=on|off]\n[,readonly=on|off][,copy-on-read=on|off]",
			Help: "add drive to PCI storage controller", Run: s.hmpDriveAdd},
		{Name: "drive_del", Args: "id:B", Params: "device", Help: "remove host block device", Run: s.hmpDriveDel},
		{Name: "drive_mirror", Args: "reuse:-n,full:-f,device:B,target:s,format:s?", Params: "[-n] [-f] device target [format]",
			Help: "initiates live storage\n\t\t\tmigration for a device. The device's contents are\n\t\t\tcopied to the new image file, including data that\n\t\t\tis written after the command is started.\n" +
				"\t\t\tThe -n flag requests QEMU to reuse the image found\n\t\t\tin new-image-file, instead of recreating it from scratch.\n\t\t\tThe -f flag requests QEMU to copy the whole disk,\n\t\t\tso that the result does not need a backing file.\n\t\t\t", Run: s.hmpMirror},
		{Name: "drive_backup", Args: "reuse:-n,full:-f,compress:-c,device:B,target:s,format:s?", Params: "[-n] [-f] [-c] device target [format]",
			Help: "initiates a point-in-time\n\t\t\tcopy for a device. The device's contents are\n\t\t\tcopied to the new image file, excluding data that\n\t\t\tis written after the command is started.\n" +
				"\t\t\tThe -n flag requests QEMU to reuse the image found\n\t\t\tin new-image-file, instead of recreating it from scratch.\n\t\t\tThe -f flag requests QEMU to copy the whole disk,\n\t\t\tso that the result does not need a backing file.\n" +
				"\t\t\tThe -c flag requests QEMU to compress backup data\n\t\t\t(if the target format supports it).\n\t\t\t", Run: s.hmpBackup},
		{Name: "snapshot_blkdev", Args: "reuse:-n,device:B,snapshot-file:s?,format:s?", Params: "[-n] device [new-image-file] [format]",
			Help: "initiates a live snapshot\n\t\t\tof device. If a new image file is specified, the\n\t\t\tnew image file will become the new root image.\n\t\t\tIf format is specified, the snapshot file will\n" +
				"\t\t\tbe created in that format.\n\t\t\tThe default format is qcow2.  The -n flag requests QEMU\n\t\t\tto reuse the image found in new-image-file, instead of\n\t\t\trecreating it from scratch.", Run: s.hmpSnapshot},
		{Name: "snapshot_blkdev_internal", Args: "device:B,name:s", Params: "device name",
			Help: "take an internal snapshot of device.\n\t\t\tThe format of the image used by device must\n\t\t\tsupport it, such as qcow2.\n\t\t\t", Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.BlockdevSnapshotInternalSync(m.Context(), &qapi.BlockdevSnapshotInternal{Device: a.Text("device"), Name: a.Text("name")})
			}},
		{Name: "snapshot_delete_blkdev_internal", Args: "device:B,name:s,id:s?", Params: "device name [id]",
			Help: "delete an internal snapshot of device.\n\t\t\tIf id is specified, qemu will try delete\n\t\t\tthe snapshot matching both id and name.\n\t\t\tThe format of the image used by device must\n\t\t\tsupport it, such as qcow2.\n\t\t\t", Run: s.hmpSnapshotDelete},
		{Name: "nbd_server_start", Args: "all:-a,writable:-w,uri:s", Params: "nbd_server_start [-a] [-w] host:port", Help: "serve block devices on the given host and port", Run: s.hmpNBDStart},
		{Name: "nbd_server_add", Args: "writable:-w,device:B,name:s?", Params: "nbd_server_add [-w] device [name]", Help: "export a block device via NBD", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.NbdServerAdd(m.Context(), &qapi.NbdServerAddOptions{Device: a.Text("device"), Name: optional(a, "name"), Writable: some(a.Bool("writable"))})
		}},
		{Name: "nbd_server_remove", Args: "force:-f,name:s", Params: "nbd_server_remove [-f] name", Help: "remove an export previously exposed via NBD", Run: func(m *hmp.Monitor, a *hmp.Args) error {
			r := &qapi.NbdServerRemoveArg{Name: a.Text("name")}
			if a.Bool("force") {
				r.Mode = some(qapi.BlockExportRemoveModeHard)
			}
			return s.NbdServerRemove(m.Context(), r)
		}},
		{Name: "nbd_server_stop", Params: "nbd_server_stop", Help: "stop serving block devices using the NBD protocol", Run: func(m *hmp.Monitor, _ *hmp.Args) error { return s.NbdServerStop(m.Context()) }},
		{Name: "block_set_io_throttle", Args: "device:B,bps:l,bps_rd:l,bps_wr:l,iops:l,iops_rd:l,iops_wr:l", Params: "device bps bps_rd bps_wr iops iops_rd iops_wr",
			Help: "change I/O throttle limits for a block drive", Run: s.hmpThrottle},
		{Name: "qemu-io", Args: "qdev:-d,device:B,command:s", Params: "[-d] [device] \"[command]\"", Help: "run a qemu-io command on a block device\n\t\t\t-d: [device] is a device ID rather than a drive ID or node name", Run: s.hmpIO},
	}
	info = []*hmp.Command{
		{Name: "block", Args: "nodes:-n,verbose:-v,device:B?", Params: "[-n] [-v] [device]", Help: "show info of one block device or all block devices (-n: show named nodes; -v: show details)", Run: s.hmpInfoBlock},
		{Name: "blockstats", Help: "show block device statistics", Run: s.hmpInfoStats},
		{Name: "block-jobs", Help: "show progress of ongoing block device operations", Run: s.hmpInfoJobs},
	}
	return commands, info
}

// optional is an argument that may be missing.
func optional(a *hmp.Args, name string) *string {
	if v, ok := a.String(name); ok {
		return &v
	}
	return nil
}

func (s *Service) hmpResize(m *hmp.Monitor, a *hmp.Args) error {
	return s.BlockResize(m.Context(), &qapi.BlockResizeArg{Device: some(a.Text("device")), Size: a.Int("size")})
}

func (s *Service) hmpStream(m *hmp.Monitor, a *hmp.Args) error {
	d := a.Text("device")
	r := &qapi.BlockStreamArg{JobId: &d, Device: d, Base: optional(a, "base")}
	if a.Has("speed") {
		r.Speed = some(a.Int("speed"))
	}
	return s.BlockStream(m.Context(), r)
}

func (s *Service) hmpJobSpeed(m *hmp.Monitor, a *hmp.Args) error {
	return s.BlockJobSetSpeed(m.Context(), &qapi.BlockJobSetSpeedArg{Device: a.Text("device"), Speed: a.Int("speed")})
}

func (s *Service) hmpJobCancel(m *hmp.Monitor, a *hmp.Args) error {
	return s.BlockJobCancel(m.Context(), &qapi.BlockJobCancelArg{Device: a.Text("device"), Force: some(a.Bool("force"))})
}

// imageMode says whether a file is there already.
func imageMode(a *hmp.Args) *qapi.NewImageMode {
	if a.Bool("reuse") {
		return some(qapi.NewImageModeExisting)
	}
	return some(qapi.NewImageModeAbsolutePaths)
}

func syncMode(a *hmp.Args) qapi.MirrorSyncMode {
	if a.Bool("full") {
		return qapi.MirrorSyncModeFull
	}
	return qapi.MirrorSyncModeTop
}

func (s *Service) hmpMirror(m *hmp.Monitor, a *hmp.Args) error {
	return s.DriveMirror(m.Context(), &qapi.DriveMirror{Device: a.Text("device"), Target: a.Text("target"), Format: optional(a, "format"), Sync: syncMode(a), Mode: imageMode(a)})
}

func (s *Service) hmpBackup(m *hmp.Monitor, a *hmp.Args) error {
	r := &qapi.DriveBackup{Device: a.Text("device"), Target: a.Text("target"), Format: optional(a, "format"), Sync: syncMode(a), Mode: imageMode(a)}
	if a.Bool("compress") {
		r.Compress = some(true)
	}
	return s.DriveBackup(m.Context(), r)
}

func (s *Service) hmpSnapshot(m *hmp.Monitor, a *hmp.Args) error {
	file, ok := a.String("snapshot-file")
	if !ok {
		return errors.New("Parameter 'snapshot-file' is missing")
	}
	return s.BlockdevSnapshotSync(m.Context(), &qapi.BlockdevSnapshotSync{Device: some(a.Text("device")), SnapshotFile: file, Format: optional(a, "format"), Mode: imageMode(a)})
}

func (s *Service) hmpSnapshotDelete(m *hmp.Monitor, a *hmp.Args) error {
	_, err := s.BlockdevSnapshotDeleteInternalSync(m.Context(), &qapi.BlockdevSnapshotDeleteInternalSyncArg{Device: a.Text("device"), Id: optional(a, "id"), Name: some(a.Text("name"))})
	return err
}

func (s *Service) hmpThrottle(m *hmp.Monitor, a *hmp.Args) error {
	d := a.Text("device")
	r := &qapi.BlockIOThrottle{Bps: a.Int("bps"), BpsRd: a.Int("bps_rd"), BpsWr: a.Int("bps_wr"), Iops: a.Int("iops"), IopsRd: a.Int("iops_rd"), IopsWr: a.Int("iops_wr")}
	s.Graph.Lock()
	named := s.Graph.FindBackend(d) != nil
	s.Graph.Unlock()
	if named {
		r.Device = &d
	} else {
		r.Id = &d
	}
	return s.BlockSetIoThrottle(m.Context(), r)
}

func (s *Service) hmpNBDStart(m *hmp.Monitor, a *hmp.Args) error {
	all, writable := a.Bool("all"), a.Bool("writable")
	if writable && !all {
		return errors.New("-w only valid together with -a")
	}
	o, err := addressOptions(a.Text("uri"))
	if err != nil {
		return err
	}
	if err := s.NBD.Start(m.Context(), o); err != nil || !all {
		return err
	}
	list, _ := s.QueryBlock(m.Context())
	for _, i := range list {
		if i.Inserted == nil {
			continue
		}
		if err := s.NbdServerAdd(m.Context(), &qapi.NbdServerAddOptions{Device: i.Device, Writable: &writable}); err != nil {
			_ = s.NbdServerStop(m.Context())
			return err
		}
	}
	return nil
}

// addressOptions reads an address as "unix:PATH", "fd:NAME" or "[tcp:]HOST:PORT".
func addressOptions(text string) (*block.Options, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return nil, errors.New("invalid Unix socket address")
		}
		return block.OptionsOf("addr.type", "unix", "addr.path", path), nil
	}
	if name, ok := strings.CutPrefix(text, "fd:"); ok {
		return block.OptionsOf("addr.type", "fd", "addr.str", name), nil
	}
	a, err := sockaddr.ParseInet(strings.TrimPrefix(text, "tcp:"))
	if err != nil {
		return nil, err
	}
	return block.OptionsOf("addr.type", "inet", "addr.host", a.Host, "addr.port", a.Port), nil
}

// plain prints an error that QEMU prints without a word before it.
func plain(m *hmp.Monitor, format string, a ...any) error {
	m.Printf(format+"\n", a...)
	return nil
}

func (s *Service) hmpCommit(m *hmp.Monitor, a *hmp.Args) error {
	name := a.Text("device")
	var err error
	if name == "all" {
		err = s.commitAll(m.Context())
	} else {
		s.Graph.Lock()
		b := s.Graph.FindBackend(name)
		s.Graph.Unlock()
		switch {
		case b == nil:
			return plain(m, "Device '%s' not found", name)
		case b.Node() == nil || b.TrayOpen():
			return plain(m, "Device '%s' has no medium", name)
		}
		err = s.commitNode(m.Context(), b.Node().SkipImplicit())
	}
	if err != nil {
		return plain(m, "'commit' error for '%s': %s", name, block.Strerror(block.Errno(err)))
	}
	return nil
}

// commitAll commits every disk with a backing file.
func (s *Service) commitAll(ctx context.Context) error {
	s.Graph.Lock()
	list := s.Graph.Backends()
	s.Graph.Unlock()
	for _, b := range list {
		if n := b.Node(); n != nil && n.SkipImplicit().COWChild() != nil {
			if err := s.commitNode(ctx, n.SkipImplicit()); err != nil {
				return err
			}
		}
	}
	return nil
}

// commitNode writes what an image holds into its backing file, at once.
func (s *Service) commitNode(ctx context.Context, n *block.Node) error {
	s.Graph.Lock()
	err := func() error {
		c := n.COWChild()
		if c == nil {
			return unix.ENOTSUP
		}
		if n.Blocked(block.OpCommitSource) != nil || c.Node().Blocked(block.OpCommitTarget) != nil {
			return unix.EBUSY
		}
		return nil
	}()
	if err != nil {
		s.Graph.Unlock()
		return err
	}
	base := n.COWChild().Node().SkipFilters()
	top := s.Graph.NewBackend("", "", block.PermConsistentRead, block.PermAll)
	err = top.Insert(n)
	s.Graph.Unlock()
	if err == nil {
		c := &img.Commit{Top: top, Empty: true, Progress: func(float32) {}}
		err = c.Into(ctx, base)
	}
	s.Graph.Lock()
	top.Delete()
	s.Graph.Unlock()
	return err
}

func (s *Service) hmpDriveAdd(m *hmp.Monitor, a *hmp.Args) error {
	opts := a.Text("opts")
	if a.Bool("node") {
		return s.hmpNodeAdd(m, opts)
	}
	d, err := s.Drives.AddDrive(opts, s.DefaultBus)
	switch {
	case err != nil:
		return plain(m, "%v", err)
	case d.IF == "none":
		return plain(m, "OK")
	}
	s.Drives.RemoveDrive(d)
	return plain(m, "Can't hot-add drive to type %d", d.BusType())
}

func (s *Service) hmpNodeAdd(m *hmp.Monitor, opts string) error {
	o, err := qapi.ParseKeyval(opts, "")
	if err != nil {
		return plain(m, "%v", err)
	}
	if !o.Has("node-name") {
		return plain(m, "'node-name' needs to be specified")
	}
	err = s.locked(func() error {
		_, err := s.Drives.AddNode(m.Context(), nodeOptions(o))
		return err
	})
	if err != nil {
		return plain(m, "%v", err)
	}
	return nil
}

func (s *Service) hmpDriveDel(m *hmp.Monitor, a *hmp.Args) error {
	id := a.Text("id")
	s.Graph.Lock()
	node := s.Graph.Find(id)
	s.Graph.Unlock()
	if node != nil {
		if err := s.locked(func() error { return s.deleteNode(id) }); err != nil {
			return plain(m, "%v", err)
		}
		return nil
	}
	err := s.locked(func() error {
		b := s.Graph.FindBackend(id)
		if b == nil {
			return fmt.Errorf("Device '%s' not found", id)
		}
		if n := b.Node(); n != nil {
			if err := n.Blocked(block.OpDriveDel); err != nil {
				return err
			}
			s.ejected(b)
			b.Remove()
		}
		b.Forget()
		return nil
	})
	if err != nil {
		return plain(m, "%v", err)
	}
	s.Drives.Forget(id)
	return nil
}

func (s *Service) hmpIO(m *hmp.Monitor, a *hmp.Args) error {
	if s.IO == nil {
		return errors.New("not supported")
	}
	name := a.Text("device")
	s.Graph.Lock()
	b, err := s.ioBackend(name, a.Bool("qdev"))
	s.Graph.Unlock()
	if err != nil {
		return err
	}
	if s.Settle != nil {
		s.Settle()
	}
	if err := s.IO(b, a.Text("command")); err != nil {
		m.Printf("%v\n", err)
	}
	if b.Name() == "" && b.AttachedDevice() == nil {
		s.Graph.Lock()
		defer s.Graph.Unlock()
		b.Delete()
	}
	return nil
}

// ioBackend finds the backend of a device, or makes one on a node.
// Preconditions: the graph lock is held.
func (s *Service) ioBackend(name string, device bool) (*block.Backend, error) {
	if device {
		return s.deviceBackend(name)
	}
	if b := s.Graph.FindBackend(name); b != nil {
		return b, nil
	}
	n, err := s.Graph.Lookup("", name)
	if err != nil {
		return nil, err
	}
	b := s.Graph.NewBackend("", "", 0, block.PermAll)
	if err := b.Insert(n); err != nil {
		b.Delete()
		return nil, err
	}
	return b, nil
}

func (s *Service) hmpInfoStats(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryBlockstats(m.Context(), &qapi.QueryBlockstatsArg{})
	if err != nil {
		return nil
	}
	for _, i := range list {
		st := i.Stats
		m.Printf("%s: rd_bytes=%d wr_bytes=%d rd_operations=%d wr_operations=%d flush_operations=%d wr_total_time_ns=%d rd_total_time_ns=%d flush_total_time_ns=%d rd_merged=%d wr_merged=%d idle_time_ns=%d\n",
			*i.Device, st.RdBytes, st.WrBytes, st.RdOperations, st.WrOperations, st.FlushOperations, st.WrTotalTimeNs, st.RdTotalTimeNs, st.FlushTotalTimeNs,
			st.RdMerged, st.WrMerged, deref(st.IdleTimeNs, 0))
	}
	return nil
}

func (s *Service) hmpInfoJobs(m *hmp.Monitor, _ *hmp.Args) error {
	list, _ := s.QueryBlockJobs(m.Context())
	if len(list) == 0 {
		m.Printf("No active jobs\n")
	}
	for _, i := range list {
		what := "Type " + i.Type + ", device " + i.Device
		if i.Type == string(qapi.JobTypeStream) {
			what = "Streaming device " + i.Device
		}
		m.Printf("%s: Completed %d of %d bytes, speed limit %d bytes/s\n", what, i.Offset, i.Len, i.Speed)
	}
	return nil
}

func (s *Service) hmpInfoBlock(m *hmp.Monitor, a *hmp.Args) error {
	name, named := a.String("device")
	nodes := a.Bool("nodes")
	printed := false
	if !nodes {
		list, _ := s.QueryBlock(m.Context())
		for k, i := range list {
			if named && i.Device != name {
				continue
			}
			if k > 0 {
				m.Printf("\n")
			}
			printBlock(m, i, i.Inserted)
			s.hmpImages(m, a, i.Inserted)
			printed = true
		}
		if !named || printed {
			return nil
		}
	}
	list, _ := s.QueryNamedBlockNodes(m.Context(), &qapi.QueryNamedBlockNodesArg{})
	for k, i := range list {
		if named && *i.NodeName != name {
			continue
		}
		if k > 0 {
			m.Printf("\n")
		}
		printBlock(m, nil, i)
		s.hmpImages(m, a, i)
	}
	return nil
}

// hmpImages describes a node's image and those below it, if -v is given. The node may be gone by now.
func (s *Service) hmpImages(m *hmp.Monitor, a *hmp.Args, d *qapi.BlockDeviceInfo) {
	if !a.Bool("verbose") || d == nil {
		return
	}
	var text strings.Builder
	t := &tool.Tool{Out: bufio.NewWriter(&text)}
	s.Graph.Lock()
	for n := s.Graph.Find(*d.NodeName); n != nil; n = below(n) {
		i, err := img.QueryInfo(m.Context(), n)
		if err != nil {
			break
		}
		t.HumanInfo(i)
	}
	s.Graph.Unlock()
	t.Out.Flush()
	m.Printf("\nImages:\n%s", text.String())
}

// printBlock prints what is known of a disk or node.
func printBlock(m *hmp.Monitor, i *qapi.BlockInfo, d *qapi.BlockDeviceInfo) {
	switch {
	case i != nil && i.Device != "":
		m.Printf("%s", i.Device)
		if d != nil {
			m.Printf(" (%s)", *d.NodeName)
		}
	case d != nil:
		m.Printf("%s", *d.NodeName)
	case i.Qdev != nil:
		m.Printf("%s", *i.Qdev)
	default:
		m.Printf("<anonymous>")
	}
	if d != nil {
		ro := ""
		if d.Ro {
			ro = ", read-only"
		}
		m.Printf(": %s (%s%s)\n", d.File, d.Drv, ro)
	} else {
		m.Printf(": [not inserted]\n")
	}
	if i != nil {
		printDevice(m, i)
	}
	if d == nil {
		return
	}
	cache := "writethrough"
	if d.Cache.Writeback {
		cache = "writeback"
	}
	if d.Cache.Direct {
		cache += ", direct"
	}
	if d.Cache.NoFlush {
		cache += ", ignore flushes"
	}
	m.Printf("    Cache mode:       %s\n", cache)
	if d.BackingFile != nil {
		m.Printf("    Backing file:     %s (chain depth: %d)\n", *d.BackingFile, d.BackingFileDepth)
	}
	if d.DetectZeroes != qapi.BlockdevDetectZeroesOptionsOff {
		m.Printf("    Detect zeroes:    %s\n", d.DetectZeroes)
	}
	if d.Bps|d.BpsRd|d.BpsWr|d.Iops|d.IopsRd|d.IopsWr != 0 {
		m.Printf("    I/O throttling:   bps=%d bps_rd=%d bps_wr=%d bps_max=%d bps_rd_max=%d bps_wr_max=%d iops=%d iops_rd=%d iops_wr=%d iops_max=%d iops_rd_max=%d iops_wr_max=%d iops_size=%d group=%s\n",
			d.Bps, d.BpsRd, d.BpsWr, deref(d.BpsMax, 0), deref(d.BpsRdMax, 0), deref(d.BpsWrMax, 0), d.Iops, d.IopsRd, d.IopsWr,
			deref(d.IopsMax, 0), deref(d.IopsRdMax, 0), deref(d.IopsWrMax, 0), deref(d.IopsSize, 0), deref(d.Group, ""))
	}
}

// printDevice prints what is known of the guest device.
func printDevice(m *hmp.Monitor, i *qapi.BlockInfo) {
	if i.Qdev != nil {
		m.Printf("    Attached to:      %s\n", *i.Qdev)
	}
	if st := deref(i.IoStatus, qapi.BlockDeviceIoStatusOk); st != qapi.BlockDeviceIoStatusOk {
		m.Printf("    I/O status:       %s\n", st)
	}
	if i.Removable {
		locked, tray := "not ", "closed"
		if i.Locked {
			locked = ""
		}
		if deref(i.TrayOpen, false) {
			tray = "open"
		}
		m.Printf("    Removable device: %slocked, tray %s\n", locked, tray)
	}
}

// hmpChange is the command change: of a drive's medium, or of the password of VNC.
func (s *Service) hmpChange(m *hmp.Monitor, a *hmp.Args) error {
	device, target := a.Text("device"), a.Text("target")
	mode, hasMode := a.String("read-only-mode")
	if device == "vnc" && s.VNCPassword != nil {
		password, given := a.String("arg")
		switch {
		case hasMode:
			return plain(m, "Parameter 'read-only-mode' is invalid for VNC")
		case target != "passwd" && target != "password":
			return plain(m, "Expected 'password' after 'vnc'")
		case !given:
			return errors.New("the new password is missing")
		}
		return s.VNCPassword(m.Context(), password)
	}
	arg := &qapi.BlockdevChangeMediumArg{Device: &device, Filename: target, Force: some(a.Bool("force"))}
	if format, ok := a.String("arg"); ok {
		arg.Format = &format
	}
	if hasMode {
		if !qapi.FindType("BlockdevChangeReadOnlyMode").Accepts(mode) {
			return errors.New("invalid parameter value: " + mode)
		}
		arg.ReadOnlyMode = some(qapi.BlockdevChangeReadOnlyMode(mode))
	}
	return s.BlockdevChangeMedium(m.Context(), arg)
}
