package conformance.client;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.appinfo.EurekaAccept;
import com.netflix.appinfo.HealthCheckHandler;
import com.netflix.appinfo.InstanceInfo;
import com.netflix.appinfo.InstanceInfo.InstanceStatus;
import com.netflix.discovery.CacheRefreshedEvent;
import com.netflix.discovery.EurekaClient;
import com.netflix.discovery.Jersey3DiscoveryClientOptionalArgs;
import com.netflix.discovery.converters.wrappers.CodecWrappers;
import com.netflix.discovery.converters.wrappers.DecoderWrapper;
import com.netflix.discovery.converters.wrappers.EncoderWrapper;
import com.netflix.discovery.shared.Application;
import com.netflix.discovery.shared.Applications;
import com.netflix.discovery.shared.transport.jersey3.Jersey3TransportClientFactories;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.aop.support.AopUtils;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.cloud.util.ProxyUtils;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;

/**
 * Spring Cloud's client, set up by arguments. It takes orders, one a line, and prints JSON, one object a line: what it
 * sees whenever it has looked, and the answers to orders.
 */
@SpringBootApplication
public class Client {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static volatile InstanceStatus health = InstanceStatus.UP;

    @Bean
    HealthCheckHandler healthCheckHandler() {
        return known -> health;
    }

    /** Netflix' transport, which Spring Cloud's own has replaced but for those who ask for it. */
    @Bean
    @ConditionalOnProperty("eureka.client.jersey.enabled")
    Jersey3TransportClientFactories transportClientFactories() {
        return Jersey3TransportClientFactories.getInstance();
    }

    @Bean
    @ConditionalOnProperty("eureka.client.jersey.enabled")
    Jersey3DiscoveryClientOptionalArgs optionalArguments() {
        return new Jersey3DiscoveryClientOptionalArgs();
    }

    public static void main(String[] arguments) throws Exception {
        ConfigurableApplicationContext context = SpringApplication.run(Client.class, arguments);
        EurekaClient client = target(context.getBean(EurekaClient.class));
        ApplicationInfoManager self = target(context.getBean(ApplicationInfoManager.class));
        client.registerEventListener(event -> {
            if (event instanceof CacheRefreshedEvent) {
                say("sees", seen(client.getApplications()));
                say("self", Map.of("status", self.getInfo().getStatus(), "remote", client.getInstanceRemoteStatus()));
            }
        });
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            String[] order = line.split(" ");
            switch (order[0]) {
                case "health" -> health = InstanceStatus.valueOf(order[1]);
                case "metadata" -> self.registerAppMetadata(Map.of(order[1], order[2]));
                case "codecs" -> say("codecs", decodedInEveryForm(order[1]));
                case "register" -> say("registered", registerAsXml(order[1], self.getInfo()));
                case "stop" -> {
                    context.close();
                    say("stopped", true);
                    return;
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    /** What Netflix' own decoders read in the answers to a path, by the form of the answer. */
    private static Map<String, Object> decodedInEveryForm(String url) throws Exception {
        Map<String, Object> found = new TreeMap<>();
        for (String name : new String[] {"LegacyJacksonJson", "XStreamJson", "XStreamXml", "JacksonXml"}) {
            for (EurekaAccept accept : EurekaAccept.values()) {
                DecoderWrapper decoder = CodecWrappers.getDecoder(name);
                String media = name.endsWith("Json") ? "application/json" : "application/xml";
                HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                        .header("Accept", media).header("X-Eureka-Accept", accept.name()).build();
                String body = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
                found.put(name + " " + accept, seen(decoder.decode(body, Applications.class)));
            }
        }
        return found;
    }

    /** The status of the answer to this program's own registration, as Netflix' encoder writes it in XML. */
    private static int registerAsXml(String url, InstanceInfo self) throws Exception {
        EncoderWrapper encoder = CodecWrappers.getEncoder("XStreamXml");
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .header("Content-Type", "application/xml").POST(BodyPublishers.ofString(encoder.encode(self))).build();
        return HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).statusCode();
    }

    private static Map<String, Object> seen(Applications applications) {
        Map<String, Object> found = new TreeMap<>();
        for (Application application : applications.getRegisteredApplications()) {
            for (InstanceInfo instance : application.getInstances()) {
                found.put(application.getName() + "/" + instance.getId(), instance.getStatus());
            }
        }
        return Map.of("instances", found, "hash", applications.getReconcileHashCode());
    }

    private static synchronized void say(String what, Object found) {
        try {
            System.out.println(JSON.writeValueAsString(Map.of(what, found)));
        } catch (Exception unsayable) {
            throw new IllegalStateException(unsayable);
        }
    }

    private static <T> T target(T bean) {
        return AopUtils.isAopProxy(bean) ? ProxyUtils.getTargetObject(bean) : bean;
    }
}
