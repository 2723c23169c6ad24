// Package libvirt lets libvirt run a domain on goemu. libvirt's driver runs inside virsh (qemu:///embed), with its own folder: no daemon is
// needed and none is disturbed. Where the host has KVM, libvirt asks an emulator without it for its capabilities again and again, which
// makes the test take a minute instead of seconds.
package libvirt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// config is libvirt's qemu.conf: no services of the host are needed.
const config = `user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
`

// domain has what libvirt's tools give a domain; DIR is the test's folder, MACHINE the type.
const domain = `<domain type='qemu'>
  <name>vm</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><iothreads>1</iothreads>
  <os><type arch='x86_64' machine='MACHINE'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>DIR/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap' iothread='1'/><source file='DIR/d.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='CDROM'/><readonly/></disk>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <serial type='pty'/><console type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc' port='-1' autoport='yes'/><video><model type='vga' vram='16384'/></video>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='virtio'><stats period='5'/></memballoon>
    <panic model='isa'/>
  </devices>
</domain>
`

// life are virsh's commands, with a text that the output must have.
var life = []struct{ command, want string }{
	{"define DIR/vm.xml", "defined"},
	{"start vm --paused", "started"},
	{"domstate vm", "paused"},
	{"resume vm", "resumed"},
	{"suspend vm", "suspended"},
	{"resume vm", "resumed"},
	{"domstats vm", "balloon.maximum=65536"},
	{"dommemstat vm", "actual 65536"},
	{"vcpuinfo vm", "VCPU:           1"},
	{"qemu-monitor-command vm --hmp info-status", "unknown command"},
	{"send-key vm KEY_A", ""},
	{"screenshot vm DIR/s.png", "image/png"},
	{"iothreadadd vm 2", ""},
	{"iothreadset vm 2 --poll-max-ns 1000", ""},
	{"iothreaddel vm 2", ""},
	{"blkdeviotune vm vda --total-iops-sec 5000", ""},
	{"blkdeviotune vm vda", "total_iops_sec : 5000"},
	{"attach-disk vm DIR/e.qcow2 vdb --driver qemu --subdriver qcow2", "attached"},
	{"domblklist vm", "DIR/e.qcow2"},
	{"blockresize vm vdb 8M", "resized"},
	{"change-media vm CDROM DIR/c.iso --insert", "uccessfully"},
	{"change-media vm CDROM --eject --force", "uccessfully"},
	{"snapshot-create-as vm x1 --disk-only --no-metadata --diskspec vda,file=DIR/x1.qcow2 --diskspec vdb,snapshot=no --diskspec CDROM,snapshot=no", "created"},
	{"domblklist vm", "DIR/x1.qcow2"},
	{"blockcommit vm vda --active --wait --pivot", "Successfully pivoted"},
	{"blockcopy vm vda DIR/c1.qcow2 --wait --pivot --transient-job", "Successfully pivoted"},
	{"snapshot-create-as vm x2 --disk-only --no-metadata --diskspec vda,file=DIR/x2.qcow2 --diskspec vdb,snapshot=no --diskspec CDROM,snapshot=no", "created"},
	{"blockpull vm vda --wait", "Pull complete"},
	{"dump vm DIR/core --memory-only", "dumped"},
	{"save vm DIR/save.img", "saved"},
	{"restore DIR/save.img", "restored"},
	{"domstate vm", "running"},
	{"snapshot-create-as vm s1", "created"},
	{"snapshot-revert vm s1", "reverted"},
	{"snapshot-delete vm s1", "deleted"},
	{"managedsave vm", "saved"},
	{"start vm", "started"},
	{"reset vm", "reset"},
	{"destroy vm", "destroyed"},
	{"undefine vm --nvram", "undefined"},
}

// TestDomains: the life of a domain of each machine.
func TestDomains(t *testing.T) {
	for machine, cdrom := range map[string]string{"pc": "hda", "q35": "sda"} {
		t.Run(machine, func(t *testing.T) { runDomain(t, machine, cdrom) })
	}
}

func runDomain(t *testing.T, machine, cdrom string) {
	virsh := testprog.Need(t, "virsh")
	if os.Getuid() != 0 {
		t.Skip("ORACLE MISSING: libvirt's embedded driver needs root")
	}
	dir, err := os.MkdirTemp("", "lv") // a short path: sockets are in it
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"etc", "bin"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	goemu := filepath.Join(dir, "bin", "qemu-system-x86_64")
	out, err := exec.Command("go", "build", "-o", goemu, "goemu/cmd/goemu").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Symlink(goemu, filepath.Join(dir, "bin", "qemu-img")))
	fill := strings.NewReplacer("DIR", dir, "MACHINE", machine, "CDROM", cdrom)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etc", "qemu.conf"), []byte(config), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vm.xml"), []byte(fill.Replace(domain)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.iso"), make([]byte, 1<<16), 0o600))
	for _, image := range []string{"d.qcow2", "e.qcow2"} {
		out, err := exec.Command(filepath.Join(dir, "bin", "qemu-img"), "create", "-f", "qcow2", filepath.Join(dir, image), "4M").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	var script strings.Builder
	for _, c := range life {
		script.WriteString(fill.Replace(c.command) + "\n")
	}
	script.WriteString("quit\n")
	cmd := exec.Command(virsh, "-c", "qemu:///embed?root="+dir)
	cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin"), "LC_ALL=C", "HOME=" + dir}
	cmd.Stdin = strings.NewReader(script.String())
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	require.NoError(t, cmd.Start())
	watchdog := time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	_ = cmd.Wait() // virsh's status is that of the last command
	t.Cleanup(func() { killLeft(goemu) })
	said := text.String()
	for _, c := range life {
		i := strings.Index(said, fill.Replace(c.want))
		require.GreaterOrEqual(t, i, 0, "virsh %s: %q is missing in what follows:\n%s", c.command, c.want, said)
		said = said[i+len(fill.Replace(c.want)):]
	}
	require.NotContains(t, text.String(), "error:")
}

// killLeft ends the emulators that are left of a failed test.
func killLeft(program string) {
	list, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range list {
		if target, err := os.Readlink(link); err == nil && strings.TrimSuffix(target, " (deleted)") == program {
			_ = exec.Command("kill", "-9", filepath.Base(filepath.Dir(link))).Run()
		}
	}
}
