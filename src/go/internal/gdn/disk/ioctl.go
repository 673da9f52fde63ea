package disk

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setCapacity makes a loop device notice that its file has grown.
func setCapacity(loop string) error {
	f, err := os.Open(loop) // not for writing, which is refused while it is mounted
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("grow %s: %w", loop, err)
	}
	return nil
}

// resizeFS is EXT4_IOC_RESIZE_FS of ext4: _IOW('f', 16, __u64), in blocks.
func resizeFS(fd uintptr, blocks *uint64) error {
	const ext4IocResizeFS = 0x40086610
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, ext4IocResizeFS, uintptr(unsafe.Pointer(blocks))); errno != 0 {
		return errno
	}
	return nil
}
