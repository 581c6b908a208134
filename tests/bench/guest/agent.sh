# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's script (bash), which follows a function work_NAME for each kind of
# work. It reads orders from a port of a virtio serial device, one per line:
#
#     NAME TYPE TAG OPTIONS
#
# For each order it mounts the share with that type, tag and options, does the
# work NAME in the share's folder NAME, unmounts the share, and answers with one
# of
#
#     done NANOSECONDS
#     failed STATUS OUTPUT
#
# The time includes unmounting the share, so that all data written has reached
# the server. As each order mounts the share anew, the guest's caches are empty.

export LC_ALL=C HOME=/tmp

for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = guest.orders ] && port=${name%/name}
done
exec 5<>"/dev/${port##*/}"
mount -t tmpfs tmpfs /tmp

# Sets NOW to the time in microseconds, without starting a process
now() {
    local t=$EPOCHREALTIME
    NOW=${t%.*}${t#*.}
}

answer() {
    tr '\n' ' ' </tmp/said | tail -c 500 >/tmp/line
    echo "failed $1 $(cat /tmp/line)" >&5
}

echo ready >&5
while read -r name type tag options <&5; do
    if ! mount -t "$type" -o "$options" "$tag" /mnt 2>/tmp/said; then
        answer mount
        continue
    fi
    if ! cd "/mnt/$name" 2>/tmp/said; then
        answer cd
        umount /mnt
        continue
    fi
    now
    start=$NOW
    (set -e; "work_$name") >/tmp/said 2>&1 5>&-
    status=$?
    cd /
    umount /mnt 2>>/tmp/said || status=umount
    now
    if [ "$status" = 0 ]; then
        echo "done $(((NOW - start) * 1000))" >&5
    else
        answer "$status"
    fi
done
