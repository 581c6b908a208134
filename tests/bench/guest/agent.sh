# SPDX-License-Identifier: GPL-2.0-or-later
#
# What runs in the guest (bash), after a function work_NAME for each kind of
# work. It takes orders from a port of a virtio serial device, one a line:
#
#     NAME TYPE TAG OPTIONS
#
# mounts the share with that type, tag and options, does the work in the
# share's folder of that name, and answers with one of
#
#     done NANOSECONDS
#     failed STATUS WHAT IT SAID
#
# The time is that of the work and of unmounting the share, so that all that was
# written has gone to the server, and whatever the guest keeps of the share has
# come from there in that time.

export LC_ALL=C HOME=/tmp

for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = guest.orders ] && port=${name%/name}
done
exec 5<>"/dev/${port##*/}"
mount -t tmpfs tmpfs /tmp

# In microseconds, without another process
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
