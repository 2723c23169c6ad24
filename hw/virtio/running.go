package virtio

import "slices"

// live are the devices behind a transport, and machineRuns whether the machine runs. Both are guarded by the machine lock.
var (
	live        []*Device
	machineRuns = true
)

// SetMachineRunning hears from the machine, under the machine lock, that it starts or stops running. When it returns after a stop, no
// request is under way any more.
func SetMachineRunning(on bool) {
	machineRuns = on
	for _, d := range live {
		d.SetRunning(on)
	}
}

func enlist(d *Device) {
	live = append(live, d)
	d.running = machineRuns
}

func delist(d *Device) {
	live = slices.DeleteFunc(live, func(x *Device) bool { return x == d })
}
