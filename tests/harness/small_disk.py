"""A damaged spool on a disk that has too little room for mending it."""

from harness import volumes
from harness.messages import picture
from harness.ports import free_port


def mend_with_too_little_room(stack, group_commit="False"):
    """Leaves the mended bridge running, the store in reach. Returns the pictures that had waited, the
    spool's folder, and the command prefix under which that folder is the disk."""
    spool = stack.folder / "disk"
    disk = volumes.on_ext4(spool, stack.folder / "disk.img", 24 << 20)
    # With a commit a message the snapshot before the newest one has nearly all of them. Otherwise the
    # many of the newest commit are found by a search where its meta page is the damaged one.
    settings = {"SPOOL_DIR": spool, "SPOOL_MIN_FREE_BYTES": "0", "MQTT_GROUP_COMMIT": group_commit}
    stack.bridge = stack.new_bridge("bridge", disk, **settings,
                                    MINIO_URL=f"127.0.0.1:{free_port()}")  # fmt: skip
    stack.broker.start()
    stack.bridge.start_subscribed()
    sent = [picture(size=60_000) for _ in range(140)]  # 11 MB of JSON
    stack.publisher.send(*sent)
    stack.bridge.wait_until_acknowledged(len(sent))
    stack.bridge.kill()
    damaging = f'printf x | dd of="$0/records/data.mdb" bs=1 seek={16} conv=notrunc status=none'
    stack.bridge = stack.new_bridge(
        "mended", [*disk, "sh", "-c", damaging + '; exec "$@"', spool], **settings
    )
    stack.bridge.start_subscribed()
    stack.bridge.wait_until_spool_is_empty()
    return sent, spool, disk
