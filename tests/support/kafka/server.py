"""One Apache Kafka broker in KRaft mode, from jars, in a folder of its own."""

import base64
import subprocess
import uuid
from pathlib import Path

from tests.support.jars import jars, java
from tests.support.processes import ManagedProcess, free_port

# A test's broker lives for seconds to minutes: the first compiler tier and the serial collector start fastest and leave
# the cores to the code under test.
_JVM = ("-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.retention.check.interval.ms=1000
log.cleaner.backoff.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class KafkaServer:
    """A broker on two free ports. Data and ports stay over `stop`, `kill` and `start`, like those of a real one."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.cluster_id = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        self._properties = folder / "server.properties"
        text = _PROPERTIES.format(port=self.port, controller=free_port(), data=folder / "data")
        self._properties.write_text(text + "".join(f"{name}={value}\n" for name, value in (settings or {}).items()))
        java_command = [java(), *_JVM, "-cp", f"{jars('kafka')}/*"]
        self._format = [
            *java_command,
            *("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self._properties)),
        ]
        self.process = ManagedProcess(
            "kafka", [*java_command, "kafka.Kafka", str(self._properties)], log_dir=folder / "logs"
        )
        self._formatted = False

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self, timeout: float = 60) -> None:
        """Start and wait until the broker takes requests."""
        if not self._formatted:
            done = subprocess.run(self._format, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"formatting the storage failed:\n{done.stdout}\n{done.stderr}"
            self._formatted = True
        self.process.start()
        self.process.wait_for_line("Kafka Server started", timeout)

    def stop(self) -> None:
        """Shut down in order."""
        self.process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.process.kill()

    def restart(self) -> None:
        """Stop and start on the same data and ports."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        self.process.suspend()

    def resume(self) -> None:
        """Let a frozen broker go on."""
        self.process.resume()
