package fsx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

// Windows error codes that package syscall does not name.
const (
	errSharingViolation syscall.Errno = 32
	errHandleDiskFull   syscall.Errno = 39
	errDiskFull         syscall.Errno = 112
	errDiskQuota        syscall.Errno = 1295
)

// syncDir does nothing: NTFS journals names itself and offers no call for it.
func syncDir(name string) error {
	_, err := os.Stat(name)
	return err
}

// free asks GetDiskFreeSpaceExW for the bytes that the calling user may use.
func free(dir string) (uint64, error) {
	p, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, &os.PathError{Op: "free", Path: dir, Err: err}
	}
	var avail, total, all uint64
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	if err := proc.Find(); err != nil {
		return 0, &os.PathError{Op: "free", Path: dir, Err: err}
	}
	ok, _, cerr := proc.Call(uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&avail)),
		uintptr(unsafe.Pointer(&total)), uintptr(unsafe.Pointer(&all)))
	if ok == 0 {
		return 0, &os.PathError{Op: "free", Path: dir, Err: cerr}
	}
	return avail, nil
}

// lock opens the file without sharing it.
func lock(name string) (io.Closer, error) {
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS,
		syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, errHandleDiskFull) || errors.Is(err, errDiskQuota) ||
		errors.Is(err, syscall.ENOSPC)
}
